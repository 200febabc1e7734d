"""Images of results: that they are drawn, from any columns, and that nothing global is touched."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from utils.plots import (
    _folded,
    _panels,
    plot_comparison,
    plot_heat_map,
    plot_images,
    plot_precision_recall,
    plot_results,
    plot_study,
)
from utils.tables import read_csv

RESULTS = """epoch,seconds,train/box,val/mAP50,lr/weight,lr/bias,note
1,9.5,3.0,,0.01,0.1,first
2,9.4,2.0,0.25,0.009,0.05,
3,9.4,1.5,0.50,0.008,0.01,
"""


def inked(path) -> float:
    """The fraction of pixels that are not white."""
    return float((np.asarray(Image.open(path).convert("L")) < 250).mean())


def test_results_of_any_columns(tmp_path):
    (tmp_path / "results.csv").write_text(RESULTS)
    assert list(_panels(read_csv(tmp_path / "results.csv"))) == ["train/box", "val/mAP50", "learning rate"]
    plot_results(tmp_path / "results.csv", tmp_path / "results.png")
    assert 0.01 < inked(tmp_path / "results.png") < 0.5


@pytest.mark.parametrize("text", ["", "epoch,seconds\n", "epoch,seconds\n1,2\n", "a\nword\n"])
def test_results_without_numbers_draw_nothing(tmp_path, text):
    (tmp_path / "results.csv").write_text(text)
    plot_results(tmp_path / "results.csv", tmp_path / "results.png")
    assert not (tmp_path / "results.png").exists()


def test_one_epoch_is_enough(tmp_path):
    (tmp_path / "results.csv").write_text("epoch,train/box\n1,2.0\n")
    plot_results(tmp_path / "results.csv", tmp_path / "results.png")
    assert inked(tmp_path / "results.png") > 0


@pytest.mark.parametrize(
    "values",
    [
        {"night": {"none": [0.1, 0.2], "wiid byol_weight=0": [0.3]}, "day": {"none": [0.5, 0.4], "wiid": []}},
        {"test": {"none": [0.1]}},
        {},
    ],
)
def test_comparison_with_gaps(tmp_path, values):
    plot_comparison(values, tmp_path / "compare.png")
    assert inked(tmp_path / "compare.png") > 0


def test_wide_conditions_are_drawn_below_each_other(tmp_path):
    """Twelve runs of 1.5 inches are 18: two conditions would take 36. 18 x 6.8 inches at 150 points are 2,700 x 1,020."""
    values = {condition: {f"run {n}": [0.1 * n] for n in range(12)} for condition in ("night", "day")}
    plot_comparison(values, tmp_path / "compare.png")
    with Image.open(tmp_path / "compare.png") as image:
        assert image.size == (2700, 1020)


def test_study(tmp_path):
    rows = [{"condition": c, "imgsz": s, "ms": s / 10, "mAP50-95": s / 1000} for c in "ab" for s in (64, 128)]
    plot_study(rows, tmp_path / "study.png")
    assert inked(tmp_path / "study.png") > 0.01


def test_metrics_without_a_number_have_no_panel(tmp_path):
    (tmp_path / "results.csv").write_text("epoch,val/AP,val/APm,val/APt\n1,0.1,nan,nan\n2,0.2,nan,0.3\n")
    panels = _panels(read_csv(tmp_path / "results.csv"))
    assert list(panels) == ["val/AP", "val/APt"]
    np.testing.assert_equal(panels["val/APt"]["val/APt"], [np.nan, 0.3])


@pytest.mark.parametrize("classes", [1, 20, 21])
def test_precision_recall(tmp_path, classes):
    recall = np.linspace(0, 1, 50)
    curves = {f"class {number}": (1 - recall) / (number + 1) for number in range(classes)}
    plot_precision_recall(recall, curves, tmp_path / "pr.png", {"AP": 0.1234, "APvt": float("nan")})
    assert 0.01 < inked(tmp_path / "pr.png") < 0.5


def test_contact_sheet_keeps_the_colours(tmp_path):
    red = np.zeros((40, 60, 3), np.uint8)
    red[..., 0] = 255
    plot_images([("one", red), ("\udcff.png", red)], tmp_path / "sheet.png", across=2)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3)
    assert (pixels == [255, 0, 0]).all(1).mean() > 0.3
    plot_images([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_long_names_fold():
    assert _folded("wiid byol_weight=0 back_ratio=0") == "wiid\nbyol_weight=0\nback_ratio=0"
    assert _folded("none") == "none"
    assert _folded("richsem teacher=runs/teacher/demo-longtail epochs=15") == (
        "richsem\nteacher=runs/\nteacher/\ndemo-longtail\nepochs=15"
    )


def test_the_callers_style_stays(tmp_path):
    before = dict(rcParams)
    plot_comparison({"test": {"none": [0.1]}}, tmp_path / "a.png")
    assert dict(rcParams) == before


@pytest.mark.parametrize("top", [0.6, 0.0])
def test_heat_map_of_any_shape(tmp_path, top):
    """Also where nothing was found on clean images."""
    values = np.array([[0.5, 0.25, 0.1], [0.4, np.nan, 0.0]])
    plot_heat_map(values, ["fog", "rain"], ["1", "3", "mean"], tmp_path / "heat.png", title="night", top=top)
    assert 0.1 < inked(tmp_path / "heat.png") < 0.9
