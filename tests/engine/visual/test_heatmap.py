"""The crux map over images: in their own pixels, in detect.py, val.py and as a mosaic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import engine
from data.io.letterbox import Letterbox
from engine.checkpoint import save_checkpoint
from engine.inference.backends import TorchBackend
from engine.inference.predictor import Predictor
from engine.inference.sliced import SlicedPredictor, Tiling
from engine.inference.writers import DrawStyle
from engine.results import ImageResult
from engine.visual.heatmap import MapSheet, MapView, save_mosaic, view_at, view_of
from models.crux import find_split
from models.detector import build
from models.graph import evaluating
from tests.engine.inference.live import write_video
from tests.engine.tiny import CRUX_NETWORK, NETWORK, write_dataset
from utils.draw import heat_colours, paint_heat
from utils.errors import UserError

NAMES = {0: "square", 1: "bar"}


class RedSplit(nn.Module):
    """Its map is the red of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.shapes: list[tuple[int, ...]] = []

    def mask_of(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return self.weight * images[:, :1]


def red_view(size: int = 64, **more: Any) -> MapView:
    red = RedSplit()
    return MapView(red.mask_of, red.weight, Letterbox((size, size), 32), **more)


def half_red(height: int, width: int) -> np.ndarray:
    """Right half red, left half blue."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 2] = 255
    return image


@pytest.fixture(scope="module")
def crux_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crux model that has learned nothing."""
    return saved(CRUX_NETWORK, tmp_path_factory.mktemp("weights"))


def saved(network: dict[str, Any], folder: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(folder / "best.pt", build({**network, "scale": "n"}, NAMES), epoch=1, options={}, metrics={})
    return folder / "best.pt"


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((64, 64), (64, 64)),
        ((30, 100), (32, 64)),  # 30 x 64 / 100 = 19 rows, padded to 32
        ((101, 37), (64, 32)),  # 37 x 64 / 101 = 23 columns, padded to 32
        ((500, 333), (64, 64)),  # 333 x 64 / 500 = 43 columns, padded to 64
    ],
)
def test_the_map_lies_on_the_image(shape: tuple[int, int], seen: tuple[int, int]) -> None:
    """Red is 1 right of the middle and 0 left of it; the grey of the padding (0.45) is gone, up to one seam."""
    view = red_view()
    heat = view.map_of(half_red(*shape))
    assert view.heat.__self__.shapes == [(1, 3, *seen)]  # type: ignore[attr-defined]
    assert heat.shape == shape and heat.dtype == np.float32
    seam = max(2, shape[1] // 16)  # px that scaling mixes
    middle = shape[1] // 2
    assert heat[:, : middle - seam].max() < 0.01 and heat[:, middle + seam :].min() > 0.99


def test_the_map_is_of_what_the_network_sees() -> None:
    """A preprocessing that swaps blue and red turns the map around, but not the image below it."""
    image = half_red(64, 64)
    view = red_view(preprocess=lambda img: img[..., ::-1])
    assert view.map_of(image)[0, 0] == 1 and view.map_of(image)[0, -1] == 0
    assert (view(image) == paint_heat(image, view.map_of(image))).all()


def test_boxes_lie_on_top() -> None:
    """The line of a box has the box's colour, whatever is painted below; without a painter nothing is."""
    image = half_red(64, 64)
    box = np.array([[10, 10, 50, 50, 0.9, 0]])
    painted, plain = (DrawStyle(NAMES, labels=False, paint=view)(image, box) for view in (red_view(), None))
    assert (painted[10, 30] == plain[10, 30]).all()
    assert (painted[30, 30] != plain[30, 30]).any() and (plain[30, 30] == image[30, 30]).all()


def test_a_real_model_gives_its_map() -> None:
    """The same numbers as the row itself, on an image that needs no fitting; parameters and modes stay as they are."""
    torch.manual_seed(0)
    model = build({**CRUX_NETWORK, "scale": "n"}, NAMES).train()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    heat = view_at(model, 64).map_of(image)
    with evaluating(model):
        there = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
        expected = find_split(model).mask_of(there)
    np.testing.assert_allclose(heat, expected[0, 0].detach().numpy(), atol=1e-6)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("network", "sliced", "expected"),
    [
        (NETWORK, False, "--cfg models/yolov8n-crux.yaml"),
        (CRUX_NETWORK, True, "--slice"),
        (None, False, "PyTorch checkpoint"),
    ],
)
def test_what_has_no_map(network: dict[str, Any] | None, sliced: bool, expected: str) -> None:
    detector: Any = object()  # as an .onnx file's, or a program's own
    if network is not None:
        detector = Predictor(TorchBackend(build({**network, "scale": "n"}, NAMES)))
    with pytest.raises(UserError, match="--show-map") as error:
        view_of(SlicedPredictor(detector, Tiling(64)) if sliced else detector)
    assert expected in str(error.value)


def test_detect_paints_images_and_videos(tmp_path: Path, crux_weights: Path) -> None:
    """What is written is the painted image; crops are cut from the image itself."""
    folder = tmp_path / "in"
    folder.mkdir()
    image = half_red(48, 64)
    cv2.imwrite(str(folder / "a.png"), image)
    write_video(folder / "v.mp4", frames=2)
    common = {"weights": crux_weights, "imgsz": 64, "device": "cpu", "project": tmp_path / "runs", "show_map": True}
    result = engine.detect(source=folder, conf_thres=1.0, **common)
    view = view_at(engine.checkpoint.load_detector(crux_weights)[0], 64)
    assert result.save_dir is not None and (result.save_dir / "v.mp4").is_file()
    written = cv2.imread(str(result.save_dir / "a.png"))
    np.testing.assert_allclose(written.astype(int), view(image), atol=1)
    cropped = engine.detect(source=folder / "a.png", conf_thres=0.0, max_det=1, save_crop=True, **common).save_dir
    crop = cv2.imread(str(next((cropped / "crops").rglob("*.jpg"))))
    assert set(np.unique(crop // 16 * 16)) >= {0, 240}  # pure blue and red: nothing is painted


def test_detect_without_a_map_leaves_nothing(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), half_red(48, 64))
    weights = saved(NETWORK, tmp_path)
    with pytest.raises(UserError, match="no layer of this detector has a map"):
        engine.detect(weights=weights, source=tmp_path / "a.png", show_map=True, project=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_val_writes_a_sheet_a_split(tmp_path: Path, crux_weights: Path) -> None:
    given = write_dataset(tmp_path, images=2)
    common = {"data": given["data"], "weights": crux_weights, "project": tmp_path / "val", "imgsz": 64, "plots": False}
    result = engine.validate(show_map=True, batch_size=4, device="cpu", **common)
    sheets = sorted(path.relative_to(result.save_dir).as_posix() for path in result.save_dir.rglob("*.jpg"))
    assert sheets == ["val-night/map.jpg", "val2-day/map.jpg"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"task": "speed"}, "--task speed draws no images"),
        ({"slice": 32}, "--slice"),
        ({"weights": "plain"}, "--cfg models/yolov8n-crux.yaml"),
    ],
)
def test_val_refuses(tmp_path: Path, crux_weights: Path, more: dict[str, Any], expected: str) -> None:
    given = {"data": write_dataset(tmp_path, images=2)["data"], "weights": crux_weights, "imgsz": 64, **more}
    if given["weights"] == "plain":
        given["weights"] = saved(NETWORK, tmp_path)
    with pytest.raises(UserError, match="--show-map") as error:
        engine.validate(show_map=True, device="cpu", project=tmp_path / "val", **given)
    assert expected in str(error.value) and not (tmp_path / "val").exists()


def test_a_sheet_has_room_for_sixteen(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), half_red(20, 30))
    box = np.array([[2.0, 2, 20, 18]])
    result = ImageResult(str(tmp_path / "a.png"), (20, 30), box, np.ones(1), np.zeros(1), box, np.zeros(1))
    sheet = MapSheet(tmp_path / "map.jpg", red_view(), NAMES)
    for _ in range(20):
        sheet(result)
    assert len(sheet.cells) == 16
    title, cell = sheet.cells[0]
    assert title.startswith("a.png: mean 0.5")
    assert cell.shape[1] == 640  # enlarged, so that tags do not hide it


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (3, [0, 1, 2]),
        (31, list(range(0, 31, 2))),  # 16 of 31: every second
    ],
)
def test_a_mosaic_of_evenly_spaced_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int, expected: list[int]
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("engine.visual.heatmap.plot_images", lambda cells, target: drawn.extend(cells))
    files = [tmp_path / f"{number}.png" for number in range(images)]
    for file in files:
        cv2.imwrite(str(file), half_red(20, 32))
    save_mosaic(build({**CRUX_NETWORK, "scale": "n"}, NAMES), files, tmp_path / "map.png", imgsz=32)
    assert [int(title.partition(".")[0]) for title, _ in drawn] == expected
    assert drawn[0][1].shape == (40, 32, 3)
    assert (drawn[0][1][:20] == half_red(20, 32)[..., ::-1]).all()


def test_a_mosaic_is_a_png_and_only_of_crux_models(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), half_red(20, 32))
    for network, name in ((CRUX_NETWORK, "map.png"), (NETWORK, "plain.png")):
        save_mosaic(build({**network, "scale": "n"}, NAMES), [tmp_path / "a.png"], tmp_path / name, imgsz=32)
    assert cv2.imread(str(tmp_path / "map.png")) is not None and not (tmp_path / "plain.png").exists()


def test_a_flat_map_has_one_colour() -> None:
    """A map that is 0 everywhere leaves the image's greys, darkened to 45 %: 128 x 0.45 = 57.6, and 4 x 0.55 of blue."""
    painted = red_view()(np.full((32, 32, 3), (128, 128, 0), np.uint8))
    grey = round(0.114 * 128 + 0.587 * 128)  # 90
    colour = heat_colours(np.zeros((1, 1)))[0, 0]
    assert np.abs(painted.astype(int) - np.round(0.45 * grey + 0.55 * colour).astype(int)).max() <= 1
