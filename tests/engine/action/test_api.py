"""Task action through every script, on six tiny films; its learners, its timeline, and what it refuses."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import _api

import engine
from data.synthetic.actions.poses import NAMES
from data.synthetic.actions.scene import film, save_film
from data.video.dataset import ClipShape
from engine.action import api as action
from engine.action import detect as action_detect
from engine.action.task import shape_of
from engine.action.timeline import RECENT, ClipWindow, Segment, Timeline
from engine.checkpoint.classifier import (
    CLIPS,
    LoadedClassifier,
    load_classifier,
    network_of,
    save_classifier,
    start_from,
)
from engine.checkpoint.weights import Weights, load_weights
from engine.classification.evaluation import brightened, evaluate_classifier, probabilities
from engine.inference.capture import Frame
from engine.inference.sources import Source
from engine.training.plan import make_plan
from models.action import INPUTS, ClipInput, build
from models.classifier import ClassificationModel
from models.normalize import KINETICS, Normalize
from tests.engine.inference.live import read_back
from utils.errors import UserError

TINY: dict[str, Any] = {
    "cfg": "small", "imgsz": 32, "frames": 2, "interval": 8, "test_clips": 2, "batch_size": 3, "epochs": 1, "device": "cpu",
    "front_ratio": 0.3, "plots": False,
}  # fmt: skip


class Small(nn.Module):
    """A network with the parts that matter here, and few numbers."""

    def __init__(self, num_classes: int = 2, weights: None = None) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 8, (1, 4, 4), (1, 4, 4)), nn.ReLU())
        self.fc = nn.Linear(8, num_classes)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """(B, 3, T, S, S) to (B, classes)."""
        scores: torch.Tensor = self.fc(self.stem(clips).mean((2, 3, 4)))
        return scores


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[None]:
    """torchvision's networks are large to write and slow to draw: here it has a small one too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_api.BUILTIN_MODELS, "small", Small)
        patch.setitem(INPUTS, "small", ClipInput(32, KINETICS))
        yield


@pytest.fixture(scope="module")
def synthetic(small_network: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small films by day, darkened as they are loaded; the same six for val and test at night. And a trained run."""
    root = tmp_path_factory.mktemp("arid")
    for seed in range(6):
        looks, label = film(seed, (32, 32), {"day", "night"}, frames=20)
        for split, look, shift in (("train", "day", 0), ("val", "night", 1), ("test", "night", 2)):
            save_film(root / split / NAMES[label] / f"{split}{seed}.avi", np.roll(looks[look], shift, 1))
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(NAMES))
    (root / "data.yaml").write_text(
        "path: .\ntask: action\nmethod: wiid\ntrain: train\nval: val\ntest: test\nconditions: {val: night, test: night}\n"
        f"names:\n{names}"
    )
    engine.train(data=str(root / "data.yaml"), project=root / "runs", name="a", **TINY)
    return root


def test_a_run_leaves_plain_weights(synthetic: Path) -> None:
    weights = synthetic / "runs/a/weights"
    rows = list(csv.DictReader((synthetic / "runs/a/results.csv").open()))
    assert {"train/day", "train/night", "train/byol", "night/top1", "night/top5"} <= rows[0].keys()
    Small(6).load_state_dict(torch.load(weights / "best.pt", weights_only=True))
    classifier = load_classifier(weights / "best.safetensors", CLIPS)
    assert (classifier.name, classifier.shape) == ("small", ClipShape(2, 8, 32))
    assert tuple((classifier.names or {}).values()) == NAMES
    assert load_classifier(weights / "best.pt", CLIPS).names == classifier.names


def test_validate_and_compare_measure_the_same(synthetic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, data = synthetic / "runs/a/weights/best.safetensors", str(synthetic / "data.yaml")
    found = engine.validate(
        data=data, weights=weights, task="test", project=synthetic / "measured", device="cpu", plots=False
    )
    assert "small" in capsys.readouterr().out
    (report,) = found.reports
    assert (
        report.images == 6
        and report.condition == "night"
        and 0 <= report.metrics["top1"] <= report.metrics["top5"] <= 1
    )
    assert (found.save_dir / "metrics.csv").is_file()
    (again,) = action.evaluate(weights, data, "test", "cpu")
    assert again.metrics == report.metrics and len(again.per_image) == 6


def test_detect_paints_a_timeline(synthetic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = synthetic / "test" / "Walk"
    result = engine.detect(
        weights=synthetic / "runs/a/weights/best.pt",
        source=str(source),
        project=synthetic / "seen",
        device="cpu",
        save_csv=True,
    )
    said = capsys.readouterr().out
    assert result.frames == 20 and result.save_dir is not None and "(1-9/20)" in said and "(18-20/20)" in said
    rows = list(csv.DictReader((result.save_dir / "timeline.csv").open()))
    assert float(rows[-1]["end"]) == pytest.approx(20 / 15, abs=0.01) and {row["action"] for row in rows} <= {*NAMES}
    assert (result.save_dir / "test4.mp4").is_file() and (result.save_dir / "predictions.csv").is_file()


@pytest.mark.parametrize("ending", ["txt", "streams"])  # one after the other, or in turn
def test_a_video_named_twice_has_two_timelines(
    synthetic: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clip of 2 every 8. spans 9 frames: of each of the two, 1-9 are labelled first and 18-20 last."""
    video = next((synthetic / "test" / "Walk").iterdir())
    (tmp_path / f"l.{ending}").write_text(f"{video}\n{video}\n")
    result = engine.detect(
        weights=synthetic / "runs/a/weights/best.pt", source=tmp_path / f"l.{ending}", project=tmp_path, device="cpu"
    )
    said = capsys.readouterr().out
    assert all(f"video {n}/2 ({frames}/20)" in said for n in (1, 2) for frames in ("1-9", "18-20"))
    assert f"\n1: {video}: 0.0-" in said and f"\n2: {video}: 0.0-" in said
    assert result.save_dir is not None and result.frames == 40
    rows = list(csv.DictReader((result.save_dir / "timeline.csv").open()))
    assert [row["start"] for row in rows if row["source"] == f"1: {video}"][0] == "0.0"
    assert [(row["action"], row["start"]) for row in rows[: len(rows) // 2]] == [
        (row["action"], row["start"]) for row in rows[len(rows) // 2 :]
    ]


@pytest.mark.parametrize(
    ("calls", "kept"),
    [
        (1, 13),  # in the second clip, which ends with frame 13: what waits is labelled by it
        (99, 20),
    ],
)
def test_ctrl_c_keeps_the_timeline(
    synthetic: Path,
    tmp_path: Path,
    calls: int,
    kept: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, count = action_detect.ClipRunner.__call__, [0]

    def interrupted(self: Any, frames: Any) -> np.ndarray:
        count[0] += 1
        if count[0] == calls + 1:
            raise KeyboardInterrupt
        return real(self, frames)

    monkeypatch.setattr(action_detect.ClipRunner, "__call__", interrupted)
    given = {"weights": synthetic / "runs/a/weights/best.pt", "source": str(synthetic / "test/Walk"), "device": "cpu"}
    with pytest.raises(KeyboardInterrupt) if kept < 20 else nullcontext():
        engine.detect(**given, project=tmp_path)
    said = capsys.readouterr().out
    assert (f"stopped after {kept} frames" in said) is (kept < 20) and f"results in {tmp_path / 'exp'}" in said
    rows = list(csv.DictReader((tmp_path / "exp" / "timeline.csv").open()))
    assert float(rows[-1]["end"]) == pytest.approx(kept / 15, abs=0.01)
    assert read_back(tmp_path / "exp" / "test4.mp4")[0] == kept


def test_detect_refuses_images_and_what_means_nothing(synthetic: Path, make_image: Any) -> None:
    weights = synthetic / "runs/a/weights/best.pt"
    image = make_image(synthetic / "still.png")
    with pytest.raises(UserError, match="is an image"):
        engine.detect(weights=weights, source=str(image), device="cpu")
    with pytest.raises(UserError, match="--iou-thres: does not apply to task 'action'"):
        engine.detect(weights=weights, source=str(synthetic / "test/Walk"), iou_thres=0.3, device="cpu")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": None}, "no clip classifier was given"),
        ({"weights": "bare.pt"}, "does not hold its class names"),
        ({"data": "two.yaml"}, "names 2 classes, the network has 6"),
    ],
)
def test_detect_wants_a_name_for_each_class(synthetic: Path, options: dict[str, Any], said: str) -> None:
    shutil.copy(synthetic / "runs/a/weights/best.pt", synthetic / "bare.pt")
    (synthetic / "two.yaml").write_text("path: .\ntask: action\nnames: {0: a, 1: b}\n")
    placed = {key: str(synthetic / name) if name else None for key, name in options.items()}
    given = {
        "weights": synthetic / "runs/a/weights/best.pt",
        "source": str(synthetic / "test/Walk"),
        "device": "cpu",
        **placed,
    }
    with pytest.raises(UserError, match=said):
        action_detect.detect(**given)


def test_export_agrees_with_the_network(synthetic: Path) -> None:
    result = engine.export(weights=synthetic / "runs/a/weights/best.safetensors", include=("onnx", "torchscript"))
    assert all(file.is_file() and result.differences[kind] < 1e-4 for kind, file in result.files.items())
    assert sorted(file.name for file in result.files.values()) == ["best.onnx", "best.torchscript"]
    with pytest.raises(UserError, match="openvino"):
        engine.export(weights=synthetic / "runs/a/weights/best.safetensors", include=("openvino",))


def test_a_run_goes_on_where_it_stopped(synthetic: Path) -> None:
    """Resumed after its last epoch, a run measures again and is done; other options are refused."""
    assert len(engine.train(resume=str(synthetic / "runs/a"), device="cpu").rows) == 1
    with pytest.raises(UserError, match="--frames cannot change"):
        engine.train(resume=str(synthetic / "runs/a"), frames=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "rfla"}, "does not serve task 'action'"),
        ({"batch_size": 1}, "batch norm needs at least 2"),
        ({"cfg": "resnet18"}, "no such network"),
        ({"cfg": "s3d"}, "209 px"),
        ({"mosaic": 0.5}, "--mosaic: does not apply to task 'action'"),
    ],
)
def test_what_training_refuses(synthetic: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        engine.train(data=str(synthetic / "data.yaml"), project=synthetic / "refused", **{**TINY, **options})
    assert not (synthetic / "refused").exists()


@pytest.mark.parametrize(
    ("options", "masks", "size", "workers"),
    [
        ({}, True, 32, 0),  # the size that the network is used to; on the CPU, no loader processes unless asked for
        ({"front_ratio": 0.0, "back_ratio": 0.2, "imgsz": 48}, True, 48, 0),
        ({"front_ratio": 0.0, "back_ratio": 0.0, "workers": 2}, False, 32, 2),
        ({"method": "none"}, False, 32, 0),  # the ratios are WiiD's
    ],
)
def test_a_plan_says_what_clips_are(
    synthetic: Path, tmp_path: Path, options: dict[str, Any], masks: bool, size: int, workers: int
) -> None:
    data = str(synthetic / "data.yaml")
    plan = make_plan({"data": data, "project": tmp_path, "cfg": "small", "frames": 4, "interval": 3, **options})
    found = ("motion" in [view.name for view in plan.views], shape_of(plan), plan.workers(torch.device("cpu")))
    assert found == (masks, ClipShape(4, 3, size), workers)
    assert plan.options["imgsz"] == size and plan.hyper.nbs == plan.train.batch_size == 16


def test_training_never_sees_a_test_video(synthetic: Path) -> None:
    for held_out in ("val/Walk/val4.avi", "test/Walk/test4.avi"):
        copy = Path(shutil.copy(synthetic / held_out, synthetic / "train/Walk/copy.avi"))
        try:
            with pytest.raises(UserError, match="copy.avi is also"):
                engine.train(data=str(synthetic / "data.yaml"), project=synthetic / "leak", **TINY)
        finally:
            copy.unlink()


def test_weights_of_another_network_name_their_tensors(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(8, 3, 7, 7), "fc.bias": torch.zeros(3)}, tmp_path / "resnet.pt")
    with pytest.raises(UserError, match="no clip classifier of ours"):
        load_classifier(tmp_path / "resnet.pt", CLIPS)
    with torch.device("meta"):
        network = build("mc3_18", 3)
    with pytest.raises(UserError, match="stem.0.weight is missing"):
        start_from(network, load_weights(tmp_path / "resnet.pt"), "mc3_18", tmp_path / "resnet.pt")


def test_a_head_of_other_classes_is_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    facts = {"names": dict(enumerate("abcd")), "clip": vars(ClipShape())}
    path = save_classifier(tmp_path, "a", Small(4), task=CLIPS, name="small", facts=facts)
    network, weights = Small(3), load_weights(path)
    assert "its head of 4 classes is skipped" in start_from(network, weights, "small", path)
    assert torch.equal(network.state_dict()["stem.0.weight"], weights.state["stem.0.weight"])


@pytest.mark.parametrize("name", ["mc3_18", "s3d"])
def test_a_bare_file_is_known_by_its_tensors(name: str) -> None:
    with torch.device("meta"):
        state = build(name, 7).state_dict()
    assert network_of(Weights(state, None, None, "state dict"), Path("bare.pt"), CLIPS) == name


@pytest.mark.parametrize(
    ("clip", "shape", "said"),
    [
        ({"frames": 4, "interval": 3, "size": 40}, ClipShape(4, 3, 40), ""),
        (None, ClipShape(16, 2, 32), ""),  # the usual clip, at the network's usual size
        ({"frames": 0, "interval": 3, "size": 40}, None, "no valid clip"),
        ({"frames": 4, "size": 40}, None, "no valid clip"),
        ({"frames": 4, "interval": 3, "size": 8}, None, "too small"),
    ],
)
def test_the_clip_of_a_header(tmp_path: Path, clip: Any, shape: ClipShape | None, said: str) -> None:
    facts = {"names": {0: "a", 1: "b"}, "clip": clip}
    path = save_classifier(tmp_path, "a", Small(2), task=CLIPS, name="small", facts=facts)
    if shape is None:
        with pytest.raises(UserError, match=said):
            load_classifier(path, CLIPS)
    else:
        assert load_classifier(path, CLIPS).shape == shape


class Grey(nn.Module):
    """The mean of a clip, times ln 3, against zero."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """(B, 3, T, S, S) to (B, 2)."""
        brightness = clips.mean((1, 2, 3, 4)) * np.log(3)
        return torch.stack([brightness, torch.zeros_like(brightness)], 1)


def plain(network: nn.Module) -> ClassificationModel:
    """A network whose clips are not shifted or scaled."""
    return ClassificationModel(network, Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))).eval()


def test_probabilities_by_hand() -> None:
    """A black clip: e^0 / (e^0 + e^0) = 1/2; a white one: 3 / (3 + 1) = 3/4; their mean is 5/8. Darkened, both are 1/2."""
    clips = torch.stack([torch.zeros(3, 2, 4, 4), torch.full((3, 2, 4, 4), 255.0)]).to(torch.uint8)[None]
    assert probabilities(plain(Grey()), clips)[0].tolist() == pytest.approx([0.625, 0.375])
    assert probabilities(plain(Grey()), clips, torch.zeros_like)[0].tolist() == [0.5, 0.5]


def test_frames_are_brightened_one_by_one() -> None:
    """Two clips of two frames are images 0 to 3: the first clip's frames, then the second's."""
    numbered = brightened(torch.zeros(2, 3, 2, 4, 4), lambda images: images + torch.arange(4.0).view(4, 1, 1, 1))
    assert numbered.shape == (2, 3, 2, 4, 4) and numbered[:, 0, :, 0, 0].tolist() == [[0.0, 1.0], [2.0, 3.0]]


class Videos(torch.utils.data.Dataset[dict[str, Any]]):
    """A black video of class 1 and a white one of class 0, two clips each."""

    tests, collate_fn = 2, staticmethod(torch.utils.data.default_collate)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number > 1:
            raise IndexError
        clips = torch.full((2, 3, 2, 4, 4), 255 * number, dtype=torch.uint8)
        return {"img": clips, "cls": 1 - number, "im_file": f"{number}.avi"}


@pytest.mark.parametrize("together", [1, 2, 8])  # clips; a video's are never parted
def test_videos_are_measured_by_hand(together: int) -> None:
    """Black: 1/2 and 1/2, where the first of equals is guessed, 0, not 1. White: 3/4 for 0, right. So 1 of 2."""
    network = plain(Grey()).train()
    names, device = {0: "a", 1: "b"}, torch.device("cpu")
    report = evaluate_classifier(
        network, Videos(), names, batch_size=together, device=device, split="test", condition="night"
    )
    assert report.metrics == {"top1": 0.5, "top5": 1.0} and report.images == 2 and network.training
    assert [(row["class"], row["top1"]) for row in report.per_class] == [("a", 1.0), ("b", 0.0)]
    assert [image.file for image in report.per_image] == ["0.avi", "1.avi"]


def test_a_running_video_is_classified_by_hand() -> None:
    """One white frame is looped to a clip of three: 3/4, as every white clip."""
    classify = action_detect.ClipRunner(
        LoadedClassifier(plain(ParameterGrey()), "grey", None, ClipShape(3, 2, 8)), {0: "a"}
    )
    assert classify([np.full((10, 12, 3), 255, np.uint8)]).tolist() == pytest.approx([0.75, 0.25])
    assert classify.milliseconds > 0 and classify.shape.frames == 3


class ParameterGrey(Grey):
    """With a parameter, that says on which device it is."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))


ITEM = Source("video", "a.avi", "a.avi", 1, "a")


def frame(number: int, total: int = 20) -> Frame:
    return Frame(ITEM, np.full((8, 8, 3), number, np.uint8), number, total, 10.0)


def test_a_watcher_settles_half_clips() -> None:
    """A clip of 3 every 2. spans 5 frames: labelled are 1-5, then every 2 frames, and the rest at the end."""
    seen: list[list[int]] = []

    def classify(frames: Any) -> np.ndarray:
        seen.append([int(image[0, 0, 0]) for image in frames])
        return np.array([0.2, 0.8])

    window = ClipWindow(classify, ClipShape(3, 2, 8))
    labelled = [[s.frame.number for s in window.add(frame(n))] for n in range(1, 9)]
    assert [numbers for numbers in labelled if numbers] == [[1, 2, 3, 4, 5], [6, 7]]
    assert [(s.frame.number, s.label, s.confidence) for s in window.rest()] == [(8, 1, 0.8)]
    assert seen == [[1, 3, 5], [3, 5, 7], [4, 6, 8]] and window.rest() == []


def test_a_timeline_joins_frames_of_one_label() -> None:
    """Ten frames a second: frames 1-3 are 0.0-0.3 s, with a mean of (0.5 + 0.7 + 0.6) / 3 = 0.6; 4 and 5 are 0.3-0.5 s."""
    timeline = Timeline(rate=10)
    for number, label, confidence in ((1, 0, 0.5), (2, 0, 0.7), (3, 0, 0.6), (4, 1, 0.9), (5, 1, 0.9)):
        timeline.add(SimpleNamespace(frame=frame(number), label=label, confidence=confidence))  # type: ignore[arg-type]
    assert timeline.segments() == [
        Segment(0.0, pytest.approx(0.3), 0, pytest.approx(0.6)), Segment(0.3, pytest.approx(0.5), 1, pytest.approx(0.9)),
    ]  # fmt: skip
    assert timeline.text({0: "Walk", 1: "Sit"}) == "0.0-0.3 s Walk 0.60, 0.3-0.5 s Sit 0.90"
    painted = timeline.paint(np.zeros((40, 100, 3), np.uint8), total=10)
    colours = [tuple(painted[39, x]) for x in (5, 25, 35, 45, 70)]
    assert colours[0] == colours[1] != colours[2] == colours[3] and colours[4] == (40, 40, 40)
    assert (painted[:37] == 0).all()


def test_a_watcher_brings_frames_to_one_size() -> None:
    """Clips of 2 every 1.: labelled by every frame from the second on; a camera that changes its size is no error."""
    shapes: list[tuple[int, ...]] = []

    def classify(frames: Any) -> np.ndarray:
        shapes.extend(image.shape for image in frames)
        return np.array([1.0])

    window = ClipWindow(classify, ClipShape(2, 1, 8))
    window.add(frame(1))
    window.add(Frame(ITEM, np.zeros((6, 4, 3), np.uint8), 2, 20, 10.0))
    assert shapes == [(8, 8, 3), (8, 8, 3)]


def test_the_bar_of_an_endless_source_shows_what_is_recent() -> None:
    """400 frames, of which the last 300 are shown on 300 px: 101-200 of label 0 are px 0-99, 201-400 of label 1 the rest."""
    timeline = Timeline(rate=10)
    timeline.labels = [(number, int(number > 200), 1.0) for number in range(1, 401)]
    bar = timeline.paint(np.zeros((40, RECENT, 3), np.uint8), total=0)[39]
    assert (bar[:99] == bar[0]).all() and (bar[101:] == bar[-1]).all() and (bar[0] != bar[-1]).any()


def test_a_timeline_as_a_table() -> None:
    """30 frames a second: 3 frames are 0.1 s. A class without a name keeps its number."""
    timeline = Timeline(rate=30)
    timeline.labels = [(1, 4, 0.25), (2, 4, 0.5), (3, 4, 0.75)]
    wanted = {"source": "a.avi", "start": 0.0, "end": 0.1, "action": "4", "confidence": 0.5}
    assert timeline.rows("a.avi", {0: "Walk"}) == [wanted] and timeline.text({}) == "0.0-0.1 s 4 0.50"
