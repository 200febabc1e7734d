"""Parts of a split in a comparison (--by), their images, and what other tasks cannot have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.comparison.api import compare
from engine.comparison.evaluating import DetectorEvaluation, evaluator_of
from tests.engine.comparison.conftest import DATA, NAMES
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from utils.errors import UserError

pytestmark = pytest.mark.usefixtures("no_images")


@pytest.fixture
def options(tiny_set, tmp_path) -> dict[str, Any]:
    """Where the comparison is, and on what."""
    (tiny_set / "data.yaml").write_text(DATA + NAMES)
    rows = "".join(f"images/night/{number}.png,{'rain' if number < 2 else 'fog'}\n" for number in range(4))
    (tiny_set / "attributes.csv").write_text("image,weather\n" + rows)
    return {"data": tiny_set / "data.yaml", "project": tmp_path / "runs", "resamples": 100}


def test_parts_are_compared_and_shown(options, checkpoint):
    """The same checkpoint twice: no difference in any part; the report has both under a slider."""
    files = (f"a={checkpoint}", f"b={checkpoint}")
    result = compare(**options, checkpoint=files, imgsz=32, device="cpu", by="weather", report=True)
    conditions = [row["condition"] for row in result.differences]
    assert conditions[:2] == ["night", "day"] and {"night, weather fog", "night, weather rain"} <= set(conditions)
    assert {row["verdict"] for row in result.differences} == {"no difference shown"}
    assert {row["difference"] for row in result.differences} == {0.0}
    text = (result.save_dir / "report.html").read_text()
    assert "b against a" in text and "SHA-256" in text and "Worst images: night" in text
    assert "Found by one only" not in text and text.count('<input type="range"') == 6  # every image has missed objects
    assert "no difference shown in" in (result.save_dir / "compare.md").read_text()


def test_finished_runs_are_evaluated_again_by_other_parts(given):
    """A row without parts is of no use for --by: its checkpoint is evaluated again, and nothing is trained."""
    trainer = PretendedTrainer()
    first = compare(**given, train=trainer, evaluate=evaluate)
    trained = len(trainer.calls)
    for folder in (first.save_dir / "runs").iterdir():
        (folder / "weights" / "best.pt").touch()
    seen: list[Path] = []

    def again(best: Path, options):
        seen.append(best)
        return evaluate(best, options)

    compare(**given, by="light", train=trainer, evaluate=again)
    assert len(trainer.calls) == trained and len(seen) == trained
    compare(**given, by="light", train=trainer, evaluate=again)
    assert len(seen) == trained


@pytest.mark.parametrize(("more", "name"), [({"by": "light"}, "--by"), ({"keep": True}, "--report")])
def test_other_tasks_have_no_parts(more, name):
    with pytest.raises(UserError, match=f"{name}: is of detectors"):
        evaluator_of("classify", "demo-codan", "test", **more)
    assert isinstance(evaluator_of("detect", "demo-night", "test", **more), DetectorEvaluation)


def test_an_unknown_part(options, checkpoint):
    with pytest.raises(UserError, match="Did you mean 'weather'"):
        compare(**options, checkpoint=(f"a={checkpoint}", f"b={checkpoint}"), imgsz=32, device="cpu", by="wether")


def test_an_unknown_part_is_refused_before_anything_is_trained(given):
    trainer = PretendedTrainer()
    for by, message in (("lihgt", "Did you mean 'light'"), (" , ", "--by: no name given")):
        with pytest.raises(UserError, match=message):
            compare(**given, by=by, train=trainer)
    assert trainer.calls == [] and not given["project"].exists()
