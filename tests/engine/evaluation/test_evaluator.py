"""Measuring a detector: averages by hand, equality with Ultralytics, and a model that is left as it was."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from data.config import DataConfig, load_data
from data.detection.dataset import build_dataset
from data.detection.federated import FederatedLabels
from engine.evaluation import evaluator as evaluation
from engine.evaluation.class_frequency import LVISLabels
from engine.evaluation.evaluator import average, evaluate_detector, label_areas, match, per_class
from engine.evaluation.settings import EvalSettings, default_max_det
from engine.evaluation.writers import JsonWriter
from engine.results import DetectionStats, ImageResult
from models.detector import build
from utils.metrics import evaluate


class Oracle(nn.Module):
    """A detector that knows the labels and blurs them: boxes off by a sixth, a fifth of the classes wrong."""

    def __init__(
        self, names: dict[int, str], labels: list[dict[str, Any]], noise: float = 0.15, wrong: float = 0.2
    ) -> None:
        super().__init__()
        self.names, self.noise, self.wrong = names, noise, wrong
        self.model = nn.ModuleList([nn.Identity()])
        self.waiting = [(label["cls"].reshape(-1), label["bboxes"]) for label in labels]

    def forward(self, images: Tensor, augment: bool = False) -> tuple[Tensor, None]:
        """(B, 3, H, W) -> (B, 4 + classes, 100), centre boxes in pixels, then scores."""
        generator = torch.Generator().manual_seed(len(self.waiting))
        batch, _, height, width = images.shape
        out = torch.rand(batch, 4 + len(self.names), 100, generator=generator) * 0.002
        for image in out:
            classes, boxes = self.waiting.pop(0)
            for row, (kind, box) in enumerate([pair for pair in zip(classes, boxes, strict=True) for _ in range(3)]):
                blur = 1 + self.noise * torch.randn(4, generator=generator)
                image[:4, row] = torch.as_tensor(box) * torch.tensor([width, height, width, height]) * blur
                wrong = torch.rand((), generator=generator) < self.wrong
                kind = torch.randint(len(self.names), (), generator=generator) if wrong else int(kind)
                image[4 + int(kind), row] = torch.rand((), generator=generator)
        return out, None


def network_labels(dataset: Any) -> list[dict[str, Any]]:
    """The labels of each item as the loader hands them on (letterboxed, centre boxes in fractions)."""
    return [{"cls": dataset[i]["cls"].numpy(), "bboxes": dataset[i]["bboxes"].numpy()} for i in range(len(dataset))]


def ultralytics_numbers(model: nn.Module, dataset: Any, batch_size: int, folder: Path, **arguments: Any) -> list[float]:
    """precision, recall, mAP50, mAP50-95 of Ultralytics' own validator."""
    from ultralytics.models.yolo.detect import DetectionValidator

    validator = DetectionValidator(args={"model": "none.pt", "plots": False, **arguments}, save_dir=folder)
    validator.device, validator.data, validator.training = torch.device("cpu"), {}, True
    validator.dataloader = DataLoader(dataset, batch_size, collate_fn=dataset.collate_fn)
    model.eval()
    validator.init_metrics(model)
    patient = SimpleNamespace(time=lambda: 0.0)  # its NMS stops after a while, and loses boxes on a busy machine
    with torch.no_grad(), patch("ultralytics.utils.nms.time", patient):
        for batch in validator.dataloader:
            batch = validator.preprocess(batch)
            validator.update_metrics(validator.postprocess(model(batch["img"])), batch)
    stats = validator.get_stats()
    return [stats[f"metrics/{name}(B)"] for name in evaluation.METRICS]


@pytest.fixture
def config(tiny_set: Path) -> DataConfig:
    return load_data(tiny_set)


def dataset_of(config: DataConfig, **options: Any) -> Any:
    return build_dataset(config, "val", **{"imgsz": 64, "batch_size": 2, "stride": 32, **options})


@pytest.mark.parametrize(
    ("classes", "truth", "overlaps", "expected"),
    [
        ([0], [0], [[0.80]], [[1] * 7 + [0] * 3]),  # right up to 0.80
        ([1], [0], [[0.80]], [[0] * 10]),  # wrong class
        ([0], [0], [[0.49]], [[0] * 10]),  # too far off
        ([0, 0], [0], [[0.60, 0.90]], [[1] * 3 + [0] * 7, [0] * 3 + [1] * 6 + [0]]),  # the surer one has it, to 0.60
        ([0, 0], [0, 0], [[0.90, 0.80], [0.85, 0.10]], [[1] * 9 + [0], [0] * 10]),  # the best is taken; 0.10 is left
        ([], [0], [[]], []),
    ],
)
def test_match_by_hand(monkeypatch, classes, truth, overlaps, expected):
    """A column a threshold 0.50, 0.55 ... 0.95; most confident detections first, each takes the best free object."""
    monkeypatch.setattr(evaluation, "box_iou", lambda target, detected: torch.tensor(overlaps))
    found = {"cls": torch.tensor(classes, dtype=torch.float), "bboxes": torch.zeros(len(classes), 4)}
    target = {"cls": torch.tensor(truth, dtype=torch.float), "bboxes": torch.zeros(len(truth), 4)}
    right = match(found, target)
    assert right.shape == (len(classes), 10)
    assert right.astype(int).tolist() == expected


def image(name: str, right: list[int], conf: list[float], classes: list[int], truth: list[int]) -> DetectionStats:
    """An image whose detections are right or wrong at every level."""
    tp = np.repeat(np.array(right, bool)[:, None], 10, 1).reshape(len(right), 10)
    return DetectionStats(name, tp, np.array(conf), np.array(classes, float), np.array(truth, float))


def test_average_by_hand():
    """Class 0: three objects; sure to unsure right, wrong, right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.

    The envelope is 1 up to recall 1/3, 2/3 up to 2/3, then 0. On 101 steps of 0.01 the trapezoid gives 0.33 at height
    1, 0.01 * (1 + 2/3) / 2 between the steps 0.33 and 0.34, 0.32 at 2/3, and 0.01 * (2/3 + 0) / 2 after 0.66. Class 1
    has one object and no detection: 0.
    """
    images = [image("a", [1, 0], [0.9, 0.8], [0, 0], [0, 0]), image("b", [1], [0.7], [0], [0, 1])]
    metrics = average(images, {0: "cat", 1: "dog"})
    first = 0.33 + 0.01 * (1 + 2 / 3) / 2 + 0.32 * 2 / 3 + 0.01 * (2 / 3) / 2
    rows = per_class(metrics, {0: "cat", 1: "dog"})
    assert [row["class"] for row in rows] == ["cat", "dog"]
    assert [(row["images"], row["instances"]) for row in rows] == [(2, 3), (1, 1)]
    assert rows[0]["mAP50"] == pytest.approx(first, abs=1e-3)
    assert rows[1]["mAP50"] == 0
    assert metrics.mean_results()[2] == pytest.approx(rows[0]["mAP50"] / 2)


@pytest.mark.parametrize("images", [[image("a", [], [], [], [])], [image("a", [0], [0.5], [1], [])]])
def test_without_objects_everything_is_zero(images):
    metrics = average(images, {0: "cat", 1: "dog"})
    assert list(map(float, metrics.mean_results())) == [0, 0, 0, 0]
    assert per_class(metrics, {0: "cat", 1: "dog"}) == []


@pytest.mark.parametrize(("rect", "iou", "noise"), [(True, 0.7, 0.15), (False, 0.6, 0.05), (True, 0.45, 0.0)])
def test_numbers_equal_ultralytics_on_real_images(shared, tmp_path, rect, iou, noise):
    config = load_data(shared / "data" / "coco8" / "data.yaml")
    dataset = dataset_of(config, imgsz=320, rect=rect)
    oracle = Oracle(config.names, network_labels(dataset), noise)
    expected = ultralytics_numbers(copy.deepcopy(oracle), dataset, 2, tmp_path, iou=iou)
    report = evaluate_detector(oracle, dataset, EvalSettings(2, iou=iou, progress=False), device="cpu")
    assert list(report.metrics.values()) == pytest.approx(expected, abs=1e-6)
    assert 0.05 < report.metrics["mAP50"] < 1.001
    assert (report.images, report.instances) == (4, 17)


@pytest.mark.parametrize("name", ["yolov5n.yaml", "yolo26n.yaml"])
def test_numbers_equal_ultralytics_with_a_network(config, tmp_path, name):
    """Random networks find nothing, so every anchor is let through: what is compared is the path, not the score."""
    torch.manual_seed(0)
    model = build(name, config.names)
    dataset = dataset_of(config)
    if hasattr(model, "end2end"):
        model.end2end = False  # Ultralytics' validator's default too
    expected = ultralytics_numbers(copy.deepcopy(model), dataset, 2, tmp_path, conf=1e-6, iou=0.6)
    report = evaluate_detector(model, dataset, EvalSettings(2, conf=1e-6, progress=False), device="cpu")
    assert list(report.metrics.values()) == pytest.approx(expected, abs=1e-6)
    assert sum(len(image.conf) for image in report.per_image) > 0


def test_a_perfect_detector_scores_all_but_one_half_percent(config):
    """0.995: the last of the 101 recall steps lies at recall 1, where Ultralytics' curve ends at precision 0."""
    dataset = dataset_of(config)
    oracle = Oracle(config.names, network_labels(dataset), noise=0.0, wrong=0.0)
    report = evaluate_detector(oracle, dataset, EvalSettings(1, progress=False), device="cpu", condition="night")
    assert report.condition == "night"
    assert report.metrics["mAP50-95"] == pytest.approx(0.995)
    assert [image.file for image in report.per_image] == dataset.im_files


def test_single_class_ignores_what_it_is(config):
    dataset = dataset_of(config)
    wrong = [{**label, "cls": 1 - label["cls"]} for label in network_labels(dataset)]
    kinds = {}
    for single in (False, True):
        oracle = Oracle(config.names, copy.deepcopy(wrong), noise=0.0, wrong=0.0)
        kinds[single] = evaluate_detector(
            oracle, dataset, EvalSettings(2, single_cls=single, progress=False), device="cpu"
        )
    assert kinds[False].metrics["mAP50"] < 0.5 < kinds[True].metrics["mAP50"]
    assert [row["class"] for row in kinds[True].per_class] == ["object"]


def test_boxes_arrive_in_pixels_of_the_image(config):
    """The images are 32 x 24, their objects 0.25 x 0.5 of that around the centre: (12, 6, 20, 18)."""
    dataset = dataset_of(config)
    seen: list[ImageResult] = []
    oracle = Oracle(config.names, network_labels(dataset), noise=0.0)
    evaluate_detector(oracle, dataset, EvalSettings(2, progress=False), device="cpu", listeners=[seen.append])
    assert [result.shape for result in seen] == [(24, 32), (24, 32)]
    for result in seen:
        assert result.targets == pytest.approx(np.array([[12.0, 6.0, 20.0, 18.0]]), abs=0.1)
        best = result.boxes[result.scores.argmax()]
        assert best == pytest.approx([12.0, 6.0, 20.0, 18.0], abs=0.1)
        assert len(result.boxes) == len(result.scores) == len(result.classes)


def test_the_model_is_left_as_it_came(config):
    model = build("yolo26n.yaml", config.names)
    model.train()
    model.model[0].eval()  # a frozen layer
    head = model.model[-1]
    head.max_det, head._end2end = 77, True
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate_detector(model, dataset_of(config), EvalSettings(2, progress=False, max_det=5), device="cpu")
    assert model.training
    assert not model.model[0].training
    assert model.model[1].training
    assert (head.max_det, head.agnostic_nms, head._end2end) == (77, False, True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model(torch.rand(1, 3, 64, 64))["one2many"]["boxes"].sum().backward()  # nothing cached blocks a gradient


def test_most_detections_are_kept_apart_from_the_rest(config):
    model = build("yolov5n.yaml", config.names)
    settings = EvalSettings(2, progress=False, conf=1e-9, iou=1.0, max_det=7)
    report = evaluate_detector(model, dataset_of(config), settings, device="cpu")
    assert [len(image.conf) for image in report.per_image] == [7, 7]
    assert all((np.diff(image.conf) <= 0).all() for image in report.per_image)


@pytest.mark.slow
def test_plots_go_to_the_folder(config, tmp_path):
    dataset = dataset_of(config)
    oracle = Oracle(config.names, network_labels(dataset), noise=0.0)
    evaluate_detector(oracle, dataset, EvalSettings(2, progress=False), device="cpu", plots_to=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"BoxPR_curve.png", "confusion_matrix.png"}


@pytest.mark.parametrize(
    ("objects", "protocol", "expected"),
    [
        (0, None, 300),
        (300, None, 300),
        (301, None, 400),
        (12, "coco", 300),
        (12, "aitod", 1500),
        (2667, "aitod", 2700),
        (301, "lvis", 300),
    ],  # fmt: skip
)
def test_detections_kept_follow_the_data(objects, protocol, expected):
    assert default_max_det(objects, protocol) == expected


@pytest.mark.parametrize(
    ("labels", "max_det", "expected"),
    [(1, None, 300), (350, None, 400), (350, 7, 7)],  # 400: the next hundred
)
def test_the_fullest_image_decides(config, labels, max_det, expected):
    dataset, asked = dataset_of(config), []
    dataset.source[1].classes = np.zeros((labels, 1), np.float32)
    oracle = Oracle(config.names, [{"cls": np.zeros(0), "bboxes": np.zeros((0, 4))}] * 2)
    oracle.forward = lambda images, augment=False: (
        asked.append(oracle.model[-1].max_det) or Oracle.forward(oracle, images)
    )
    evaluate_detector(oracle, dataset, EvalSettings(2, progress=False, max_det=max_det), device="cpu")
    assert asked == [expected]


@pytest.mark.parametrize(
    ("side", "expected"),
    [(8 + 4e-4, 64), (8 - 4e-4, 64), (8.01, 64.08)],  # 4e-4 px: six digits of 800
)
def test_areas_of_labels_survive_rounding(side, expected):
    boxes = np.array([[100, 100, 100 + side, 108]], np.float32)
    assert label_areas(boxes)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.08])
def test_a_protocols_numbers_are_those_of_its_json(shared, tmp_path, noise):
    """The same boxes as COCO JSON through the evaluator of files: the sides are those of the original images."""
    config = load_data(shared / "data" / "coco8" / "data.yaml")
    dataset, writer = dataset_of(config, imgsz=320), JsonWriter(tmp_path, config.names)
    oracle = Oracle(config.names, network_labels(dataset), noise)
    report = evaluate_detector(
        oracle, dataset, EvalSettings(2, progress=False, protocol="aitod"), device="cpu", listeners=[writer]
    )
    writer.close()
    expected = evaluate(tmp_path / "labels.json", tmp_path / "predictions.json", protocol="aitod")
    found = {name: report.metrics[name] for name in expected}
    assert found == pytest.approx(expected, abs=2e-3, nan_ok=True)  # JSON is written to a thousandth of a pixel
    assert list(report.metrics)[:4] == list(evaluation.METRICS)
    assert {"class", "mAP50", "AP", "APvt"} <= set(report.per_class[0])


@pytest.mark.parametrize("federated", [True, False])
def test_lvis_numbers_are_those_of_its_json(shared, tmp_path, federated):
    """With federated labels and, every class having been looked for, without."""
    config = load_data(shared / "data" / "coco8" / "data.yaml")
    dataset = dataset_of(config, imgsz=640)
    oracle = Oracle(config.names, network_labels(dataset), noise=0.05)
    names = [Path(file).relative_to(config.root).as_posix() for file in dataset.im_files]
    known = {name: FederatedLabels(absent=tuple(range(40)), partial=(0,)) for name in names[1:]} if federated else None
    labels = LVISLabels(tuple("rcf"[number % 3] for number in config.names), config.root, known)
    writer = JsonWriter(tmp_path, config.names, lvis=labels)
    settings = EvalSettings(2, progress=False, protocol="lvis", lvis=labels)
    report = evaluate_detector(oracle, dataset, settings, device="cpu", listeners=[writer])
    writer.close()
    expected = evaluate(tmp_path / "labels.json", tmp_path / "predictions.json", protocol="lvis")
    assert expected.keys() == report.metrics.keys() - set(evaluation.METRICS)
    assert {name: report.metrics[name] for name in expected} == pytest.approx(expected, abs=2e-3)
    assert {"class", "mAP50", "AP"} <= set(report.per_class[0]) and "APr" not in report.per_class[0]


def test_lvis_needs_to_know_the_frequencies(config):
    with pytest.raises(ValueError, match=r"engine\.evaluation\.class_frequency"):
        evaluate_detector(Oracle(config.names, []), dataset_of(config), EvalSettings(2, protocol="lvis"), device="cpu")


def test_a_protocol_changes_no_other_number(config):
    dataset = dataset_of(config)
    oracle = Oracle(config.names, network_labels(dataset))
    settings = [EvalSettings(2, progress=False, protocol=protocol) for protocol in (None, "coco")]
    reports = [evaluate_detector(copy.deepcopy(oracle), dataset, each, device="cpu") for each in settings]
    assert list(reports[0].metrics) == list(evaluation.METRICS)
    assert {name: reports[1].metrics[name] for name in evaluation.METRICS} == reports[0].metrics
    assert set(reports[1].metrics) - set(evaluation.METRICS) == {"AP", "AP50", "AP75", "APs", "APm", "APl"}


@pytest.mark.slow
def test_a_protocols_numbers_are_on_the_curve(config, tmp_path, monkeypatch):
    drawn: list[Any] = []
    monkeypatch.setattr(evaluation, "plot_precision_recall", lambda *arguments: drawn.append(arguments))
    oracle = Oracle(config.names, network_labels(dataset_of(config)), noise=0.0, wrong=0.0)
    settings = EvalSettings(2, progress=False, protocol="aitod")
    report = evaluate_detector(oracle, dataset_of(config), settings, device="cpu", plots_to=tmp_path)
    ((recall, curves, target, numbers),) = drawn
    assert target == tmp_path / "BoxPR_curve.png" and list(curves) == ["cat 0.995", "dog 0.995"] and len(recall) == 1000
    assert numbers["AP"] == report.metrics["AP"] == pytest.approx(1.0)
    assert list(numbers) == ["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"]
