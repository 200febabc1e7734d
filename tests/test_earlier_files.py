"""Files that version 0.1 (commit a57365d) wrote: runs, checkpoints, data sets, caches, manifests, comparisons.

They lie in tests/fixtures/earlier/files.tar.xz, with make.py, which made them, beside it.
"""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from data.io import labels as label_files
from data.io.labels import scan
from data.soft_labels.cache import TeacherCache
from data.synthetic.generate import make_synthetic
from engine.checkpoint import load_weights
from engine.preparation import prepare
from models.byol import Predictor, Projector, VectorProjector
from tests.engine.classification.tiny_classes import use_tiny_network
from tests.engine.comparison.pretended import PretendedTrainer, evaluate
from utils.files import list_images
from utils.tables import read_csv

ARCHIVE = Path(__file__).parent / "fixtures" / "earlier" / "files.tar.xz"
MADE_IN = "/tmp/earlier"
NAMES = ["square", "bar"]


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files in the current folder, as if they had been made there; networks of the sizes that they have."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")  # with the times that caches note
    for file in tmp_path.rglob("*.yaml"):
        file.write_text(file.read_text().replace(MADE_IN, str(tmp_path)))
    for file in tmp_path.rglob("resume.pt"):
        state = torch.load(file, weights_only=True)
        state["options"]["data"] = state["options"]["data"].replace(MADE_IN, str(tmp_path))
        torch.save(state, file)
    monkeypatch.chdir(tmp_path)
    for head, sizes in ((Projector, (4, 8)), (Predictor, (8,)), (VectorProjector, (8,))):
        monkeypatch.setattr(head.__init__, "__defaults__", sizes)
    return Path("earlier")


def rows(run: Path) -> list[dict[str, Any]]:
    """results.csv without its times, and without the columns that earlier versions had not."""
    table = read_csv(run / "results.csv")
    since = re.compile("seconds|share/|val/.*_loss")
    known = [key for key in table[0] if not since.match(key)]
    return [{key: row[key] for key in known} for row in table]


@pytest.mark.parametrize("name", ["none", "wiid", "classes"])
def test_a_stopped_run_resumes_to_the_same_weights(earlier, monkeypatch, name):
    """`none` and `classes` stopped between two epochs, `wiid` inside one."""
    if name == "classes":
        use_tiny_network(monkeypatch)
    run = earlier / "runs" / name
    result = engine.train(resume=str(run))
    assert result.save_dir == run
    assert len(result.rows) == 2
    found, expected = (load_weights(Path(f"{folder}/weights/last.pt")).state for folder in (run, f"{run}-whole"))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-2, atol=1e-3)
    made = json.loads((earlier / "made.json").read_text())
    if (made["torch"], made["cpu"]) == (torch.__version__, torch.backends.cpu.get_cpu_capability()):
        most = 1e-7 if name == "classes" else 0  # torch multiplies heads as small as these by another routine
        assert all(torch.allclose(found[key], tensor, rtol=0, atol=most) for key, tensor in expected.items())
        whole = [
            [pytest.approx(float(value), abs=most) for value in row.values()] for row in rows(Path(f"{run}-whole"))
        ]
        # losses of `wiid` are means of the batches since then
        assert name == "wiid" or [[float(value) for value in row.values()] for row in rows(run)] == whole


@pytest.mark.slow
@pytest.mark.parametrize("file", ["none/weights/best.pt", "wiid-whole/weights/last.pt"])
def test_a_detector_is_measured_and_starts_a_training(earlier, file):
    weights, data = str(earlier / "runs" / file), str(earlier / "set/data.yaml")
    (report,) = engine.validate(weights=weights, data=data, imgsz=64, device="cpu", workers=0, project="val").reports
    assert report.images == 2
    options = {"batch_size": 2, "imgsz": 64, "plots": False, "device": "cpu", "workers": 0, "method": "none"}
    result = engine.train(weights=weights, data=data, epochs=1, project="runs", **options)
    assert result.best.exists()


def test_a_classifier_is_measured(earlier, monkeypatch):
    use_tiny_network(monkeypatch)
    weights, data = earlier / "runs/classes/weights/best.safetensors", earlier / "classes/data.yaml"
    reports = engine.validate(weights=str(weights), data=str(data), device="cpu", workers=0, project="val").reports
    assert [report.condition for report in reports] == ["night", "day"]


def test_a_synthetic_data_set_is_taken_as_it_is(earlier, tmp_path):
    before = {file: file.stat().st_mtime_ns for file in (earlier / "demo-night").rglob("*")}
    size, counts = (64, 64), {"train": 1, "val": 1, "test": 1}
    make_synthetic("demo-night", earlier / "demo-night", size=size, counts=counts)
    assert {file: file.stat().st_mtime_ns for file in (earlier / "demo-night").rglob("*")} == before
    make_synthetic("demo-night", tmp_path / "again", size=size, counts=counts, workers=1)
    for file in (earlier / "demo-night").rglob("*.txt"):
        assert (tmp_path / "again" / file.relative_to(earlier / "demo-night")).read_text() == file.read_text()


def test_a_label_cache_spares_reading(earlier, monkeypatch):
    monkeypatch.setattr(label_files, "try_probe", lambda *given: pytest.fail("read again"))
    found = scan(list_images(earlier / "set/images/train", earlier), 2, what="train", cache=earlier / "labels.npz")
    assert [len(label.boxes) for label in found.labels] == [2, 2, 2, 2]


def test_a_teacher_cache_fits_its_labels(earlier):
    labels = scan(list_images(earlier / "set/images/train", earlier), 2, what="train").labels
    cache = TeacherCache(earlier / "teacher")
    cache.check([labels], NAMES)
    assert cache.text.shape == (2, 8)


def test_a_degraded_copy_is_not_made_again(earlier):
    copies = sorted((earlier / "degraded").glob("*.jpg"))
    before = [file.stat().st_mtime_ns for file in copies]
    options = {"recipe": "fog", "severity": 0.5, "workers": 1}
    prepare("degrade", source=earlier / "set/images/train", out=earlier / "degraded", **options)
    assert len(before) == 4
    assert [file.stat().st_mtime_ns for file in copies] == before


def test_a_comparison_remembers_its_runs(earlier):
    """Fingerprints hold the place of the data, so those of a new comparison at this place are put into the old rows."""
    options = {"run": ("none", "wiid"), "seeds": 2, "epochs": 2, "split": "val", "resamples": 100, "name": "c"}
    options["data"] = earlier / "set/data.yaml"
    engine.compare(**options, project="new", train=PretendedTrainer(), evaluate=evaluate)
    for file in (earlier / "compared/c/rows").glob("*.json"):
        fresh = json.loads(Path("new/c/rows", file.name).read_text())
        file.write_text(json.dumps({**json.loads(file.read_text()), "fingerprint": fresh["fingerprint"]}))
    result = engine.compare(**options, project=earlier / "compared", train=lambda **given: pytest.fail("trained again"))
    assert result.save_dir == earlier / "compared/c"
    assert [outcome.reports[0].metrics["mAP50"] for outcome in result.outcomes] == [0.3, 0.5, 0.31, 0.51]
