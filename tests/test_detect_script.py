"""detect.py as a user meets it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import detect
from engine.options.detect import DetectOptions
from tests.engine.inference.live import plain_image, send_live, send_nothing, serve
from tests.engine.inference.test_api import real_weights
from utils.options import build, parse_argv


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained detector."""
    return real_weights(tmp_path_factory.mktemp("weights"))


def test_help_is_grouped_complete_and_free_of_torch(root: Path) -> None:
    program = (
        "import sys; sys.argv = ['detect.py', '--help']\n"
        "import detect\n"
        "try: detect.main()\n"
        "except SystemExit as end: print('code', end.code)\n"
        "print('heavy', sorted({'torch', 'cv2', 'numpy', 'ultralytics'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert "code 0" in done.stdout and "heavy []" in done.stdout, done.stderr
    for word in ("Output:", "Display and drawing:", "--conf-thres", "0.25", "--vid-stride", "runs/detect", "Examples:"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("conf_thres", 0.25),
        ("iou_thres", 0.45),
        ("max_det", 1000),
        ("imgsz", (640,)),
        ("vid_stride", 1),
        ("line_thickness", 3),
        ("name", "exp"),
        ("project", Path("runs/detect")),
        ("classes", ()),
        ("nosave", False),
        ("retries", 5),
    ],
)
def test_defaults(name: str, default: object) -> None:
    assert getattr(build([DetectOptions], {})[0], name) == default


def test_a_command_line_in_yolov5s_words() -> None:
    line = (
        "--weights a.pt --source 0 --img 320 --conf-thres 0.4 --iou-thres 0.5 --max-det 10 --device cpu --view-img "
        "--save-txt --save_conf --save-csv --save-crop --nosave --classes 0 2 3 --agnostic-nms --augment --project p "
        "--name n --exist-ok --line-thickness 2 --hide-labels --hide-conf --half --dnn --vid-stride 4"
    )
    given = parse_argv(line.split(), [DetectOptions], "detect.py", "")
    (options,) = build([DetectOptions], given)
    assert (options.source, options.imgsz, options.classes) == ("0", (320,), (0, 2, 3))
    switches = (
        "view_img save_txt save_conf save_csv save_crop nosave agnostic_nms augment exist_ok hide_labels hide_conf"
    )
    assert all(getattr(options, name) for name in (*switches.split(), "half", "dnn"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--source x.jpg --weights none.pt", "x.jpg: there is no such file"),
        ("--sauce 0", "Did you mean"),
        ("--conf-thres 7", "from 0"),
        ("--update", "there is no such option"),
        ("--visualize", "there is no such option"),
        ("--source {root}", "holds no image"),
    ],
)
def test_mistakes_give_one_line_and_code_2(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect.main([part.format(root=tmp_path) for part in line.split()]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


def test_a_run_and_its_exit_code(
    best: Path, tmp_path: Path, make_image: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_image(tmp_path / "in" / "a.png")
    line = ["--weights", best, "--source", image, "--imgsz", 64, "--project", tmp_path / "runs", "--device", "cpu"]
    assert detect.main([str(word) for word in line]) == 0
    assert (tmp_path / "runs" / "exp" / "a.png").is_file()
    assert "image 1/1" in capsys.readouterr().out


def test_real_videos(best: Path, tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "videos" / "car-detection.mp4"
    line = ["--weights", best, "--source", source, "--imgsz", 64, "--project", tmp_path / "runs", "--device", "cpu"]
    assert detect.main([str(word) for word in [*line, "--vid-stride", 100, "--save-txt", "--conf", 0.001]]) == 0
    assert (tmp_path / "runs" / "exp" / "car-detection.mp4").is_file()
    assert (tmp_path / "runs" / "exp" / "labels" / "car-detection_301.txt").is_file()


@pytest.mark.slow
def test_ctrl_c_ends_at_once_with_seven_of_eight_sources_silent(best: Path, tmp_path: Path, root: Path) -> None:
    end = threading.Event()
    answers = {"alive": send_live([plain_image(9), plain_image(90)], 10, end), "silent": send_nothing(end)}
    with serve(**answers) as address:
        (tmp_path / "l.streams").write_text("\n".join([f"{address}/alive", *[f"{address}/silent"] * 7]))
        line = ["--weights", best, "--source", tmp_path / "l.streams", "--imgsz", 64, "--device", "cpu"]
        program = [sys.executable, root / "detect.py", *line, "--project", tmp_path / "runs"]
        with subprocess.Popen([*map(str, program)], stdout=-1, stderr=-1, text=True) as run:  # noqa: S603
            assert run.stdout is not None and run.stderr is not None
            while not re.match(r"stream 1/8 \((\d\d|[5-9])", run.stdout.readline()):  # its video has begun
                assert run.poll() is None, run.stderr.read()
            asked = time.monotonic()
            run.send_signal(signal.SIGINT)
            said = run.stderr.read()
            code = run.wait(30)
            took = time.monotonic() - asked
        end.set()
    assert code == 130 and said.endswith("interrupted\n")
    assert took < 2.0
    assert (tmp_path / "runs" / "exp" / f"{address.split('//')[1].replace(':', '_')}_alive.mp4").is_file()
