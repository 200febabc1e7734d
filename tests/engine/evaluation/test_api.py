"""val.py and `engine.validate`: tasks, files, and what a mistake gets."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engine
import val
from engine.evaluation import evaluator as evaluation
from engine.evaluation.api import table, validate
from engine.evaluation.settings import Slicing
from engine.options.val import ValOptions
from engine.results import Report
from utils.errors import UserError

DATA = "path: .\ntrain: images/train\nval: images/val\nval2: images/night\nnames: {0: cat, 1: dog}\n"
CONDITIONS = "conditions: {val: day, val2: night}\n"


@pytest.fixture
def given(tiny_set: Path, checkpoint: Path, tmp_path: Path) -> dict[str, object]:
    """Options that work: by day and by night, small."""
    (tiny_set / "data.yaml").write_text(DATA + CONDITIONS)
    folders = {"data": tiny_set / "data.yaml", "weights": checkpoint, "project": tmp_path / "runs"}
    return {**folders, "imgsz": 32, "batch_size": 2, "plots": False, "conf_thres": 1e-6, "workers": 0}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_both_conditions_are_in_the_table(given, capsys):
    result = engine.validate(**given)
    assert [(report.condition, report.split, report.images) for report in result.reports] == [
        ("day", "val", 2),
        ("night", "val2", 4),
    ]
    rows = rows_of(result.save_dir / "metrics.csv")
    assert [(row["condition"], row["class"]) for row in rows if row["condition"] == "night"] == [
        ("night", "all"),
        ("night", "cat"),
        ("night", "dog"),
    ]
    assert float(rows[0]["mAP50"]) == result.reports[0].metrics["mAP50"]
    printed = capsys.readouterr().out
    assert "night" in printed
    assert "cat" not in printed  # only --verbose prints classes
    assert str(result.save_dir) in printed


@pytest.mark.slow
def test_everything_that_can_be_written(given):
    result = validate(**{**given, "plots": True, "save_txt": True, "save_conf": True, "save_json": True, "max_det": 3})
    names = {str(path.relative_to(result.save_dir)) for path in result.save_dir.rglob("*") if path.is_file()}
    assert names >= {
        "metrics.csv",
        "val-day/BoxPR_curve.png",
        "val-day/confusion_matrix.png",
        "val-day/images.jpg",
        "val-day/predictions.json",
        "val2-night/labels.json",
        "val2-night/labels/0.txt",
    }
    lines = (result.save_dir / "val2-night" / "labels" / "0.txt").read_text().splitlines()
    assert len(lines) == 3
    numbers = np.array([line.split() for line in lines], float)
    assert numbers.shape == (3, 6)
    assert ((numbers[:, 1:] >= 0) & (numbers[:, 1:] <= 1)).all()


def test_one_condition_without_a_name_is_called_by_its_split(given, tiny_set):
    (tiny_set / "data.yaml").write_text(DATA.replace("val2: images/night\n", ""))
    result = validate(**{**given, "save_txt": True})
    assert [report.condition for report in result.reports] == ["val"]
    assert (result.save_dir / "val" / "labels").is_dir()


def test_train_split_and_verbose(given, capsys):
    result = validate(**given, task="train", verbose=True)
    assert [(report.split, report.images) for report in result.reports] == [("train", 4)]
    assert "dog" in capsys.readouterr().out


def test_speed_is_one_image_at_a_time(given, capsys):
    result = validate(**{**given, "task": "speed"})
    (day, night) = rows_of(result.save_dir / "speed.csv")
    total = sum(float(day[f"{stage} ms"]) for stage in ("preprocess", "inference", "postprocess"))
    assert float(day["total ms"]) == pytest.approx(total)
    assert float(night["images per s"]) == pytest.approx(1000 / float(night["total ms"]))
    assert all(len(image.conf) == 0 for image in result.reports[0].per_image)  # at the confidence of use


def test_study_writes_a_text_a_condition_and_an_image(given):
    result = validate(**{**given, "task": "study", "study_sizes": (32, 33, 64)})
    assert [row["imgsz"] for row in result.rows] == [32, 32, 64, 64]
    text = (result.save_dir / "study_data-night_best.txt").read_text().splitlines()
    assert [len(line.split()) for line in text] == [7, 7]
    assert {path.name for path in result.save_dir.iterdir()} == {
        "study.csv",
        "study.png",
        "study_data-day_best.txt",
        "study_data-night_best.txt",
    }


def test_size_is_rounded_up_to_the_stride(given, capsys):
    validate(**{**given, "imgsz": 33})
    assert "--imgsz 33 becomes 64" in capsys.readouterr().out


def test_unreadable_images_and_crowded_ones_are_named(given, tiny_set, capsys):
    (tiny_set / "images" / "val" / "9.png").write_bytes(b"no image")
    (tiny_set / "labels" / "val" / "0.txt").write_text("0 0.5 0.5 0.2 0.2\n1 0.4 0.4 0.2 0.2\n")
    result = validate(**{**given, "max_det": 1})
    printed = capsys.readouterr().out
    assert result.reports[0].images == 2
    assert "9.png" in printed
    assert "2 objects, more than --max-det 1" in printed


def test_a_large_max_det_that_follows_the_data_needs_no_note(given, tiny_set, capsys):
    rows = "".join(f"0 0.5 0.5 0.2 {0.1 + number / 1000:.3f}\n" for number in range(301))
    (tiny_set / "labels" / "val" / "0.txt").write_text(rows)
    validate(**given)
    assert "--max-det" not in capsys.readouterr().out
    validate(**given, max_det=300)
    assert "301 objects, more than --max-det 300" in capsys.readouterr().out


AITOD = ["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"]


def test_a_protocols_numbers_are_in_the_table_and_the_file(given, capsys):
    result = validate(**given, protocol="aitod", save_json=True)
    printed = capsys.readouterr().out
    head, *lines = [line.split() for line in printed.splitlines() if line.startswith(("condition", "day", "night"))]
    assert head[-7:] == AITOD and len(lines[0]) == len(head)
    assert "by the COCO protocol" in printed  # of --save-json
    rows = rows_of(result.save_dir / "metrics.csv")
    assert [row["class"] for row in rows[:3]] == ["all", "cat", "dog"]
    assert all(set(AITOD) <= set(row) for row in rows)
    assert float(rows[0]["AP"]) == result.reports[0].metrics["AP"] and rows[0]["APm"] == "nan"


def test_lvis_numbers_by_frequency(given, tiny_set, capsys):
    """Cats are frequent, dogs rare; of common classes there is none: a dash on the screen, nothing in the file."""
    (tiny_set / "data.yaml").write_text(DATA + CONDITIONS + "frequency: [f, r]\n")
    result = validate(**given, protocol="lvis")
    row = rows_of(result.save_dir / "metrics.csv")[0]
    assert {"AP", "AP50", "AP75", "APr", "APf"} <= set(row) and "APc" not in row
    heading, first = (line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[-3:-1])
    assert dict(zip(heading[::-1], first[::-1], strict=False))["APc"] == "-"


def test_lvis_counts_where_no_letters_are_given(given, tiny_set, capsys):
    """Each class is in two training images: rare. A third has no image."""
    (tiny_set / "data.yaml").write_text(DATA + CONDITIONS)
    result = validate(**given, protocol="lvis")
    assert "APr" in result.reports[0].metrics
    assert "no object of a class that is common or frequent" in capsys.readouterr().out


def test_coco_numbers_stand_once(given, capsys):
    result = validate(**given, protocol="coco", save_json=True)
    assert "by the COCO protocol" not in capsys.readouterr().out
    assert "APl" in result.reports[0].metrics
    assert not set(validate(**given).reports[0].metrics) - set(evaluation.METRICS)  # nothing more unless asked for


def test_slices_through_the_script(given, monkeypatch):
    """Images of 32 x 24 in tiles of 32 are one tile each; the options arrive where they act."""
    asked: list[object] = []
    real = evaluation.sliced_images
    monkeypatch.setattr(evaluation, "sliced_images", lambda *a: asked.append(a[2]) or real(*a))
    usual = validate(**given)
    sliced = validate(**given, slice=32, overlap=0.5, merge="nms", save_json=True)
    assert asked == [Slicing(32, 0.5, "nms", 32, 32)] * 2
    assert [report.instances for report in sliced.reports] == [report.instances for report in usual.reports]
    for one, other in zip(usual.reports, sliced.reports, strict=True):
        assert one.metrics == pytest.approx(other.metrics, abs=1e-6)


def test_other_names_are_noted_and_other_counts_refused(given, tiny_set, capsys):
    (tiny_set / "data.yaml").write_text(DATA.replace("dog", "wolf"))
    validate(**given)
    assert "1: dog / wolf" in capsys.readouterr().out
    (tiny_set / "data.yaml").write_text(DATA.replace("1: dog", "1: dog, 2: cow"))
    with pytest.raises(UserError, match="has 2 classes, but .* has 3"):
        validate(**given)
    assert validate(**given, single_cls=True).reports[0].images == 2


def test_a_missing_test_split_is_named(given, tiny_set):
    (tiny_set / "data.yaml").write_text(DATA + "test: images/gone\n")
    with pytest.raises(UserError, match="'test' is .*gone, which is missing"):
        validate(**given, task="test")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": None}, "--weights"),
        ({"weights": "nowhere.pt"}, "no such file"),
        ({"task": "test"}, "no 'test' split. It has: train, val, val2"),
        ({"task": "tset"}, "did you mean 'test'"),
        ({"conf_thres": 1.5}, "from 0.0 to 1.0"),
        ({"data": "nowhere"}, "no such file"),
        ({"device": "77"}, "--device 77"),
        ({"protocol": "lvis", "single_cls": True}, "--single-cls: --protocol lvis compares rare and frequent"),
        ({"protocol": "lvis", "corruptions": "snow"}, "--corruptions: does not support --protocol lvis"),
        ({"protocol": "atiod"}, "did you mean 'aitod'"),
        ({"slice": 16}, "from 32"),
        ({"slice": 64, "overlap": 1.0}, "from 0.0 to 0.9"),
        ({"wieghts": "a.pt"}, "weights"),
    ],
)
def test_mistakes_are_explained_and_leave_nothing_behind(given, tmp_path, wrong, message):
    with pytest.raises(UserError) as caught:
        validate(**{**given, **wrong})
    assert message.lower() in str(caught.value).lower()
    assert not (tmp_path / "runs").exists()


def test_runs_are_numbered(given):
    assert [validate(**given).save_dir.name for _ in range(2)] == ["exp", "exp2"]
    assert validate(**given, name="here", exist_ok=True).save_dir.name == "here"


def test_table_has_one_row_of_all_classes_first():
    metrics = dict.fromkeys(("precision", "recall", "mAP50", "mAP50-95"), 0.5)
    report = Report("night", "val", 3, 7, metrics, [{"class": "cat", "images": 1, "instances": 2, **metrics}], {})
    assert [(row["class"], row["instances"]) for row in table([report])] == [("all", 7), ("cat", 2)]


def test_script(given, capsys):
    words = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    assert val.main(words) == 0
    assert val.main([*words, "--task", "test"]) == 2
    assert "error:" in capsys.readouterr().err


def test_help_does_not_load_torch():
    code = "import sys, val\ntry: val.main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    root = Path(val.__file__).parent
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("False")
    assert "--iou-thres" in answer.stdout


def test_defaults_are_yolov5s():
    options = ValOptions()
    assert (options.batch_size, options.imgsz, options.conf_thres, options.iou_thres) == (32, 640, 0.001, 0.6)
    assert (options.max_det, options.task, str(options.project)) == (None, "val", "runs/val")


@pytest.mark.parametrize("half_known", ["--native", "--corruptions"])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"slice": 64}, "{}: cannot be combined with --slice"),
        ({"task": "speed"}, "{}: --task speed measures squares"),
        ({"task": "study"}, "{}: --task study measures squares"),
        ({"show_map": True}, "Leave out"),
    ],
)
def test_options_without_a_meaning_together(given, half_known, more, message):
    with pytest.raises(UserError, match=message.format(half_known)) as error:
        validate(**{**given, **more}, **{"native": True} if half_known == "--native" else {"corruptions": "fog"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"corruptions": "gausian_noise"}, "Did you mean 'gaussian_noise'"),
        ({"corruptions": "fog", "severities": "0-3"}, "from 1 to 5"),
        ({"corruptions": "fog", "save_json": True}, "Leave out --save-json"),
    ],
)
def test_a_mistaken_sweep_leaves_no_folder(given, more, message):
    with pytest.raises(UserError, match=message):
        validate(**{**given, **more})
    assert not given["project"].exists()


def test_native_is_named_everywhere(given, capsys):
    result = validate(**{**given, "native": True, "save_json": True})
    assert {report.resolution for report in result.reports} == {"native"}
    assert {row["resolution"] for row in rows_of(result.save_dir / "metrics.csv")} == {"native"}
    info = json.loads((result.save_dir / "val-day" / "labels.json").read_text())["info"]
    assert "native" in info["description"]
    printed = capsys.readouterr().out
    assert "native: every image at its own size" in printed and "resolution" in printed


def test_native_sees_other_pixels_than_usual(given):
    """Images of 24 x 32 px: the usual way brings them to 64, and the untrained network scores them otherwise."""
    usual, native = (validate(**{**given, "imgsz": 64, "native": on}) for on in (False, True))
    assert usual.reports[0].resolution == "upsampled"
    first = [result.reports[0].per_image[0].conf[:5].tolist() for result in (usual, native)]
    assert first[0] != first[1]


def test_a_sweep_writes_its_table(given, capsys):
    result = validate(**given, corruptions="gaussian_noise,rain", severities="2,4")
    assert len(result.reports) == 2 * (1 + 2 * 2) and len(result.rows) == 10
    rows = rows_of(result.save_dir / "corruptions.csv")
    assert [(row["condition"], row["corruption"], row["severity"]) for row in rows[:2]] == [
        ("day", "clean", "0"),
        ("day", "gaussian_noise", "2"),
    ]
    printed = capsys.readouterr().out
    assert "outside the network" in printed and "rPC" in printed


@pytest.mark.parametrize("task", ["speed", "study"])
@pytest.mark.parametrize("file", ["save_txt", "save_json"])
def test_tables_alone_come_of_speed_and_study(given, task, file):
    with pytest.raises(UserError, match=f"--task {task}: writes a table.*Leave out --{file.replace('_', '-')}"):
        validate(**{**given, "task": task, file: True})
