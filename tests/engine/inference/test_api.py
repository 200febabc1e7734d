"""The detection loop, end to end, with a stand-in detector and a real one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import engine
import engine.inference.api
import engine.inference.backends
import engine.inference.frame_reader
from engine.checkpoint import save_checkpoint
from engine.inference.api import DetectResult, detect, frame_line, stream
from engine.inference.capture import Frame, LiveReader
from engine.inference.sources import Source, SourcePlan
from engine.options.detect import DetectOptions
from engine.streams.status import SourceMonitor
from engine.streams.watchdog import Alarm
from models.detector import build
from tests.engine.inference.live import FakeCapture, Script, plain_image, read_back, send_mjpeg, serve, write_video
from tests.engine.tiny import NETWORK
from utils.errors import UserError
from utils.options import build as build_options


class FakeDetector:
    """Finds a cat in the middle of every image, a dog too where it is bright. After `patience` calls, Ctrl-C."""

    def __init__(self, patience: int = 10**9) -> None:
        self.names, self.milliseconds, self.spent = {0: "cat", 1: "dog"}, 12.34, {"inference": 0.1}
        self.shapes: list[tuple[int, int]] = []
        self.batches: list[int] = []
        self.patience = patience

    def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        if len(self.batches) == self.patience:
            raise KeyboardInterrupt
        self.shapes = [image.shape[:2] for image in images]
        self.batches.append(len(images))
        return [self.boxes(image) for image in images]

    @staticmethod
    def boxes(image: np.ndarray) -> Tensor:
        height, width = image.shape[:2]
        cat = [width / 4, height / 4, width * 3 / 4, height * 3 / 4, 0.9, 0]
        return torch.tensor([cat, [0, 0, 8, 8, 0.5, 1]] if image.mean() > 100 else [cat])


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See real_weights."""
    return real_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Two images, one file that is none, and a video."""
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "bright.png"), plain_image(200, 40, 60))
    cv2.imwrite(str(folder / "dark.jpg"), plain_image(10, 40, 60))
    (folder / "empty.jpg").write_bytes(b"")
    write_video(folder / "v.mp4", frames=5)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


def frame(kind: str, **more: object) -> Frame:
    return Frame(Source(kind, "w", "name", 2, "w"), plain_image(), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "classes", "expected"),
    [
        (frame("image"), [0, 1, 0], "image 2/3 name: 24x32 2 cats, 1 dog, 12.3ms"),
        (frame("image"), [], "image 2/3 name: 24x32 (no detections), 12.3ms"),
        (frame("video", number=3, total=67), [7], "video 2/3 (3/67) name: 24x32 1 7, 12.3ms"),
        (frame("stream", number=412), [1], "stream 2/3 (412) name: 24x32 1 dog, 12.3ms"),
        (frame("camera", number=1), [0], "stream 2/3 (1) name: 24x32 1 cat, 12.3ms"),
    ],
)
def test_the_line_of_a_frame(one: Frame, classes: list[int], expected: str) -> None:
    detector = FakeDetector()
    detector([one.image])
    boxes = torch.tensor([[0, 0, 1, 1, 0.5, number] for number in classes]).reshape(-1, 6)
    assert frame_line(one, 3, boxes, detector, 0) == expected


def test_a_folder_from_end_to_end(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(inputs)
    result = detect(
        detector=FakeDetector(), source=inputs, project=tmp_path / "runs", save_txt=True, save_csv=True, save_crop=True
    )
    assert (result.save_dir, result.frames) == (tmp_path / "runs" / "exp", 7)
    found = names(tmp_path / "runs" / "exp")
    assert {"bright.png", "dark.jpg", "v.mp4", "labels/bright.txt", "labels/v_5.txt", "predictions.csv"} <= set(found)
    assert "crops/dog/bright.jpg" in found and "labels/v.txt" not in found
    assert (tmp_path / "runs/exp/labels/dark.txt").read_text() == "0 0.500000 0.500000 0.500000 0.500000\n"
    assert read_back(tmp_path / "runs/exp/v.mp4") == (5, 10.0, (48, 64))
    ((dead, reason),) = result.dead
    assert dead == str(inputs / "empty.jpg") and "not a readable image" in reason
    said = capsys.readouterr().out
    assert f"image 1/4 {inputs / 'bright.png'}: 40x60 1 cat, 1 dog, 12.3ms" in said
    assert "video 4/4 (5/5)" in said and f"results are in {result.save_dir}" in said
    assert "failed or truncated sources (1):" in said and "empty.jpg: is not a readable image" in said
    assert contents(inputs) == before


def test_runs_are_numbered_and_exist_ok_uses_the_folder_again(inputs: Path, tmp_path: Path) -> None:
    def once(**more: object) -> str:
        source = inputs / "dark.jpg"
        return detect(detector=FakeDetector(), source=source, project=tmp_path / "r", **more).save_dir.name

    assert [once(), once(), once(exist_ok=True), once(name="mine")] == ["exp", "exp2", "exp", "mine"]


def test_nosave_makes_no_folder(inputs: Path, tmp_path: Path) -> None:
    result = detect(detector=FakeDetector(), source=inputs, project=tmp_path / "runs", nosave=True)
    assert result.save_dir is None and not (tmp_path / "runs").exists() and result.frames == 7


def test_nosave_with_labels_makes_labels_only(inputs: Path, tmp_path: Path) -> None:
    source = inputs / "dark.jpg"
    result = detect(
        detector=FakeDetector(), source=source, project=tmp_path, nosave=True, save_txt=True, save_conf=True
    )
    assert names(result.save_dir) == ["labels/dark.txt"]
    assert (result.save_dir / "labels/dark.txt").read_text().split()[-1] == "0.900000"


def test_the_generator_hands_out_boxes_and_saves_nothing(inputs: Path, tmp_path: Path) -> None:
    before = names(tmp_path)
    found = list(stream(detector=FakeDetector(), source=inputs / "v.mp4", vid_stride=2))
    assert [(source, number) for source, number, _, _ in found] == [(str(inputs / "v.mp4"), n) for n in (1, 3, 5)]
    _, _, image, boxes = found[0]
    assert image.shape == (48, 64, 3) and boxes.tolist()[0] == pytest.approx([16, 12, 48, 36, 0.9, 0])
    assert names(tmp_path) == before


def test_the_generator_may_be_left_early(inputs: Path) -> None:
    for _, number, _, _ in stream(detector=FakeDetector(), source=inputs / "v.mp4"):
        assert number == 1
        break


def test_ctrl_c_completes_the_video(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        detect(detector=FakeDetector(patience=3), source=inputs / "v.mp4", project=tmp_path)
    assert names(tmp_path / "exp") == ["v.mp4"]
    assert read_back(tmp_path / "exp" / "v.mp4")[0] == 3
    assert f"stopped after 3 frames; results are in {tmp_path / 'exp'}\n" in capsys.readouterr().out


def test_ctrl_c_without_results(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        detect(detector=FakeDetector(patience=3), source=inputs / "v.mp4", nosave=True)
    assert capsys.readouterr().out.endswith("stopped after 3 frames\n")


def test_results_of_sources_of_like_names_are_all_kept(tmp_path: Path) -> None:
    """Frame 2 of the video v and the image v_2, a cat each: 3 frames and an image are 4 label files and 4 crops."""
    write_video(tmp_path / "in" / "v.mp4", frames=3)
    cv2.imwrite(str(tmp_path / "in" / "v_2.jpg"), plain_image(10, 40, 60))
    result = detect(
        detector=FakeDetector(), source=tmp_path / "in", project=tmp_path / "runs", save_txt=True, save_crop=True
    )
    assert result.save_dir is not None and result.detections == 4
    stems = ["v_2", "v_3_1", "v_3_2", "v_3_3"]  # v_2 is taken, so that the video is called v_3
    assert sorted(path.stem for path in (result.save_dir / "labels").iterdir()) == stems
    assert sorted(path.stem for path in (result.save_dir / "crops" / "cat").iterdir()) == stems


def test_sigterm_ends_a_run_like_ctrl_c(inputs: Path, tmp_path: Path) -> None:
    class Terminated(FakeDetector):
        def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
            if len(self.batches) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__call__(images)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        detect(detector=Terminated(), source=inputs / "v.mp4", project=tmp_path)
    assert read_back(tmp_path / "exp" / "v.mp4")[0] == 2
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": ""}, "--source: nothing was given"),
        ({"source": "nowhere.jpg"}, "no such file"),
        ({"source": "{inputs}/empty.jpg"}, "all sources failed.*empty.jpg: is not a readable image"),
        ({"source": "{inputs}/*", "conf_thres": 2}, "conf_thres"),
        ({"source": "{inputs}/*", "wieghts": 1}, "Did you mean 'weights'"),
        ({"source": "{inputs}/*", "update": True}, "there is no such option"),
        ({"source": "{inputs}/*", "project": "{inputs}/v.mp4"}, "a file is in the way"),
        (
            {"source": "{inputs}/dark.jpg", "project": "{inputs}/..", "name": "in", "exist_ok": True},
            "holds the sources",
        ),
    ],
)
def test_mistakes_are_told_and_leave_nothing(inputs: Path, tmp_path: Path, given: dict, words: str) -> None:
    before = contents(tmp_path)
    given = {"project": tmp_path / "runs", **given}
    given = {key: value.format(inputs=inputs) if isinstance(value, str) else value for key, value in given.items()}
    with pytest.raises(UserError, match=words):
        detect(detector=FakeDetector(), **given)
    assert contents(tmp_path) == before and not (tmp_path / "runs" / "exp").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"weights": "no/best.pt"}, "best.pt: there is no such file"),
        ({"weights": "{file}"}, "{file}"),  # no checkpoint
        ({"weights": "{best}", "classes": [2]}, "--classes 2: the detector's classes are 0 to 1"),
        ({"weights": "{best}", "imgsz": [64, 64, 64]}, "--imgsz"),
        ({"weights": "{best}", "device": "cuda:99"}, "--device"),
    ],
)
def test_mistakes_about_the_detector(best: Path, inputs: Path, tmp_path: Path, given: dict, words: str) -> None:
    (tmp_path / "file.pt").write_bytes(b"no checkpoint")
    places = {"file": str(tmp_path / "file.pt"), "best": str(best)}
    given = {key: value.format(**places) if isinstance(value, str) else value for key, value in given.items()}
    with pytest.raises(UserError, match=words.format(**places)):
        detect(source=inputs, project=tmp_path / "runs", **given)
    assert not (tmp_path / "runs").exists()


def real_weights(folder: Path) -> Path:
    """A checkpoint of a detector that was never trained, and finds things everywhere."""
    torch.manual_seed(0)
    model = build({**NETWORK, "scale": "n"}, {0: "square", 1: "bar"})
    save_checkpoint(folder / "best.pt", model, epoch=1, options={}, metrics={})
    return folder / "best.pt"


def test_a_real_detector_from_its_checkpoint(best: Path, inputs: Path) -> None:
    common = {"weights": best, "imgsz": 64, "device": "cpu", "conf_thres": 0.0, "max_det": 5, "nosave": True}
    result = engine.detect(source=inputs / "v.mp4", **common)
    assert (result.frames, result.detections) == (5, 25)
    seen: list[np.ndarray] = []

    def darken(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        return image // 2

    found = list(stream(source=inputs / "dark.jpg", classes=[1], preprocess=darken, **common))
    ((_, _, image, boxes),) = found
    assert len(seen) == 1 and image.shape == (40, 60, 3) and (image // 2 != image).any()  # handed out as it came
    assert boxes.shape[1] == 6 and set(boxes[:, 5].tolist()) <= {1.0}


def use_captures(monkeypatch: pytest.MonkeyPatch, **captures: list[FakeCapture]) -> None:
    """Let every camera and stream be a scripted one that never waits."""
    real, script = engine.inference.frame_reader.FrameReader, Script(**captures)

    def reader(sources: object, **settings: object) -> engine.inference.frame_reader.FrameReader:
        settings |= {"opener": script, "wait": lambda _: False, "log": lambda _: None}
        return real(sources, **settings)  # type: ignore

    monkeypatch.setattr(engine.inference.api, "FrameReader", reader)


def test_a_lost_camera_is_an_error_that_keeps_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_captures(monkeypatch, **{"0": [FakeCapture([plain_image(0, 48, 64)])]})
    with pytest.raises(UserError, match=r"all sources failed: camera 0: .*The 1 frames until then are in .*exp"):
        detect(detector=FakeDetector(), source=0, project=tmp_path)
    assert read_back(tmp_path / "exp" / "camera_0.mp4")[0] == 1


def test_a_camera_that_is_not_there_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_captures(monkeypatch)
    with pytest.raises(UserError, match="all sources failed: camera 7: cannot be opened. Check"):
        detect(detector=FakeDetector(), source=7, project=tmp_path / "runs")
    assert not (tmp_path / "runs" / "exp").exists()


def test_streams_go_through_the_detector_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {f"rtsp://{name}/1": [FakeCapture([plain_image(0, 48, 64)] * 6, total=6)] for name in ("a", "b")}
    use_captures(monkeypatch, **whole)
    (tmp_path / "l.streams").write_text("rtsp://a/1\nrtsp://b/1\nrtsp://dead/1\n")
    detector = FakeDetector()
    result = detect(detector=detector, source=tmp_path / "l.streams", project=tmp_path / "runs", retries=2)
    assert result.frames == 12 == sum(detector.batches) and max(detector.batches) <= 2
    assert names(result.save_dir) == ["a_1.mp4", "b_1.mp4"]
    assert read_back(result.save_dir / "a_1.mp4")[0] == 6
    assert result.dead == [("rtsp://dead/1", "cannot be opened, and 2 further tries did not help")]


def test_a_network_camera_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(cam=send_mjpeg([plain_image(10, 48, 64)] * 4)) as address:
        with_password = address.replace("http://", "http://me:secret@")
        for source, number, _, _ in stream(detector=FakeDetector(), source=f"{with_password}/cam?token=1"):
            assert number >= 1 and source == f"{address}/cam"
            break
    assert "secret" not in capsys.readouterr().out


def test_no_display_is_said_once(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engine.inference.display.has_display", lambda: False)
    result = detect(detector=FakeDetector(), source=inputs, nosave=True, view_img=True)
    assert result.frames == 7
    assert capsys.readouterr().err.count("--view-img: no display is available") == 1


def test_a_window_shows_what_is_saved_and_q_ends_the_run(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, bool]] = []

    class Window:
        def show(self, title: str, image: np.ndarray, still: bool) -> bool:
            assert (image != 10).any()  # boxes are on it
            number, _, place = title.partition(": ")  # two cameras may differ in the query only, which is not shown
            shown.append((f"{number} {Path(place).name}", still))
            return len(shown) < 3

        def close(self) -> None:
            shown.append(("closed", False))

    monkeypatch.setattr(engine.inference.api, "open_window", Window)
    result = detect(detector=FakeDetector(), source=inputs, project=tmp_path / "runs", view_img=True)
    assert shown == [("1 bright.png", True), ("2 dark.jpg", True), ("4 v.mp4", False), ("closed", False)]
    assert isinstance(result, DetectResult) and result.frames == 3
    assert read_back(result.save_dir / "v.mp4")[0] == 1


def test_opencv_speaks_again_afterwards(inputs: Path) -> None:
    before = cv2.utils.logging.getLogLevel()
    detect(detector=FakeDetector(), source=inputs, nosave=True)
    assert cv2.utils.logging.getLogLevel() == before


def test_tracked_frames_carry_identities(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("lap")
    frames = list(stream(detector=FakeDetector(), source=inputs / "v.mp4", track="bytetrack"))
    assert [frame.boxes.shape[1] for frame in frames] == [7] * 5
    assert [frame.boxes[0, 6].item() for frame in frames] == [1] * 5
    assert frames[3].tracking.ids.tolist() == frames[3].boxes[:, 6].tolist()
    (_, number, _, boxes), seen = frames[4], frames[4].tracking
    assert number == 5 and len(seen.trails[1]) == 5 and len(boxes) == len(seen.ids)


def test_without_a_tracker_there_are_no_identities(inputs: Path) -> None:
    frame = next(stream(detector=FakeDetector(), source=inputs / "v.mp4"))
    assert frame.boxes.shape[1] == 6 and not len(frame.tracking.ids)


def test_tracks_of_videos_and_of_a_folder_of_images(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("lap")
    options = {"project": tmp_path / "runs", "nosave": True, "save_mot": True, "track": "bytetrack"}
    result = detect(detector=FakeDetector(), source=inputs, **options)
    folder = result.save_dir / "mot"
    rows = {path.stem: [row.split(",")[:2] for row in path.read_text().splitlines()] for path in folder.iterdir()}
    cat = {name: [(number, who) for number, who in found if who == found[0][1]] for name, found in rows.items()}
    assert [number for number, _ in cat["v"]] == ["1", "2", "3", "4", "5"]
    assert [number for number, _ in cat[inputs.name]] == ["1", "2"]
    assert not {who for _, who in rows["v"]} & {who for _, who in rows[inputs.name]}


def still(x: int) -> np.ndarray:
    """A white square of 20 px at x, 40 in an image of 160 x 120 px."""
    image = np.zeros((120, 160, 3), np.uint8)
    cv2.rectangle(image, (x, 40), (x + 19, 59), (255,) * 3, cv2.FILLED)
    return image


def test_tracks_of_images_have_the_numbers_of_the_ground_truth(tmp_path: Path) -> None:
    pytest.importorskip("lap")
    for number in (1, 3, 4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), still(40 + number))
    (tmp_path / "2.png").write_bytes(b"damaged")
    options = {"project": tmp_path / "runs", "nosave": True, "save_mot": True, "track": "bytetrack"}
    result = detect(detector=SquareFinder(), source=tmp_path, **options)
    (file,) = (result.save_dir / "mot").iterdir()
    assert [row.split(",")[:2] for row in file.read_text().splitlines()] == [["1", "1"], ["3", "1"], ["4", "1"]]


def test_a_subfolder_between_images_does_not_end_their_sequence(tmp_path: Path) -> None:
    pytest.importorskip("lap")
    (tmp_path / "m").mkdir()
    for name in ("a", "b", "m/x", "y", "z"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), still(40))
    options = {"track": "bytetrack", "zone": ["all=0,0,1,0,1,1,0,1"]}
    frames = list(stream(detector=SquareFinder(), source=f"{tmp_path}/**/*.png", **options))
    assert [Path(frame.source).stem for frame in frames] == ["a", "b", "y", "z", "x"]
    assert [frame.tracking.ids.tolist() for frame in frames] == [[1], [1], [1], [1], [2]]
    assert [frame.tracking.zones["all"]["cat"]["entered"] for frame in frames] == [1, 1, 1, 1, 1]
    assert frames[3].tracking.inside["all"] == {1: pytest.approx(0.1)}


def test_a_line_belongs_to_a_folder_of_images_and_to_none_of_them(tmp_path: Path) -> None:
    pytest.importorskip("lap")
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), still(40))
    options = {"detector": SquareFinder(), "source": tmp_path, "track": "bytetrack", "nosave": True}
    with pytest.raises(UserError, match="--line g@2: source 2 is an image"):
        list(stream(**options, line=["g@2=0,0.5,1,0.5"]))
    with pytest.raises(UserError, match="--line g@2: source 2 is an image"):
        detect(**options, line=["g@2=0,0.5,1,0.5"], project=tmp_path / "runs")
    assert [frame.tracking.lines for frame in stream(**options, line=["g@1=0,0.5,1,0.5"])] == [{"g": {}}] * 2


def test_tracks_need_a_tracker(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--save-mot: writes identities. Add --track bytetrack"):
        detect(detector=FakeDetector(), source=inputs, project=tmp_path / "runs", save_mot=True)
    assert not (tmp_path / "runs").exists()


def test_an_identity_stands_in_the_label(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("lap")
    options = {"project": tmp_path / "runs", "hide_conf": True, "exist_ok": True}
    plain = detect(detector=FakeDetector(), source=inputs / "dark.jpg", **options).save_dir / "dark.jpg"
    before = cv2.imread(str(plain))
    detect(detector=FakeDetector(), source=inputs / "dark.jpg", track="bytetrack", **options)
    assert (cv2.imread(str(plain)) != before).any()


class SquareFinder(FakeDetector):
    """Finds white squares on black (cats) and grey ones (dogs), as they are in the image."""

    @staticmethod
    def boxes(image: np.ndarray) -> Tensor:
        found = []
        for label, level in enumerate((255, 120)):
            mask = (np.abs(image[..., 0].astype(int) - level) < 40).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            found += [[x, y, x + w, y + h, 0.9, label] for x, y, w, h, size in stats[1:].tolist() if size > 150]
        return torch.tensor(found, dtype=torch.float32).reshape(-1, 6)


def crossings(path: Path) -> Path:
    """A film in which 12 white squares go down through the middle and 8 grey ones go up, two at a time, trembling."""
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (200, 160))
    for number in range(12):
        for step in range(18):
            image = np.zeros((160, 200, 3), np.uint8)
            for x, y, level in ((30 + step % 3, 8 * step, 255), (130 - step % 2, 140 - 8 * step, 120))[
                : 2 if number < 8 else 1
            ]:
                cv2.rectangle(image, (x, y), (x + 19, y + 19), (level,) * 3, cv2.FILLED)
            out.write(image)
        for _ in range(3):
            out.write(np.zeros((160, 200, 3), np.uint8))
    out.release()
    return path


def test_a_film_of_20_crossings_is_counted_exactly(tmp_path: Path) -> None:
    pytest.importorskip("lap")
    options = {"track": "bytetrack", "track_buffer": 2, "line": ["middle=0,0.5,1,0.5", "right=100,80,199,80"]}
    *_, last = stream(detector=SquareFinder(), source=crossings(tmp_path / "c.avi"), **options)
    assert last.tracking.lines == {
        "middle": {"cat": {"in": 12, "out": 0}, "dog": {"in": 0, "out": 8}},
        "right": {"dog": {"in": 0, "out": 8}},
    }


def test_a_region_outside_the_image_leaves_nothing_behind(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("lap")
    options = {"project": tmp_path / "runs", "track": "bytetrack", "zone": ["yard=0,0,500,0,500,10"]}
    with pytest.raises(UserError, match="--zone yard: the point 500,0 lies outside the image of 64 x 48 px"):
        detect(detector=FakeDetector(), source=inputs / "v.mp4", **options)
    assert names(tmp_path / "runs") == [] and not (tmp_path / "runs" / "exp").exists()


def test_opencv_alone_is_told_to_open_streams_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = tuple(Source("stream", f"rtsp://c/{n}", f"rtsp://c/{n}", n, f"c_{n}") for n in (1, 2))
    monkeypatch.setattr(engine.inference.api, "open_capture", lambda item, transport: FakeCapture(opened=False))
    (options,) = build_options([DetectOptions], {"source": "x"})
    for there, words in ((False, "pip install av"), (True, "")):
        monkeypatch.setattr(engine.inference.api, "has_av", lambda there=there: there)
        with engine.inference.api.open_reader(SourcePlan(items, True), options):
            pass
        assert words in capsys.readouterr().err


def test_a_json_object_a_frame(inputs: Path, tmp_path: Path) -> None:
    pytest.importorskip("lap")
    options = {"project": tmp_path / "runs", "nosave": True, "track": "bytetrack", "line": ["middle=0,0.5,1,0.5"]}
    detect(detector=FakeDetector(), source=inputs, save_jsonl=str(tmp_path / "x.jsonl"), **options)
    found = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [(Path(one["source"]).name, one["frame"]) for one in found[:3]] == [
        ("bright.png", 1),
        ("dark.jpg", 1),
        ("v.mp4", 1),
    ]
    assert len(found) == 7 and found[6]["seconds"] == 0.4 and found[6]["lines"] == {"middle": {}}
    assert found[2]["objects"][0]["id"] and found[2]["objects"][0]["name"] == "cat"
    assert not (tmp_path / "runs").exists()


def test_a_frozen_stream_is_told_in_its_line_and_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(Source("stream", "x", "x", 1, "x"), plain_image(), alarms=(Alarm("frozen", "frozen image for 12 s"),))
    detector = FakeDetector()
    boxes = detector([frame.image])
    assert frame_line(frame, 1, boxes[0], detector, 0).endswith("1 cat, 12.3ms [frozen image for 12 s]")
    use_captures(monkeypatch, **{"0": [FakeCapture([plain_image()] * 3)]})
    monkeypatch.setattr(SourceMonitor, "detected", lambda *_: frame.alarms)
    assert next(stream(detector=FakeDetector(), source=0)).alarms == frame.alarms


def test_cameras_of_odd_sizes_and_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 x 1 px, 8,000 px wide, odd sizes, with rates that cannot be: everything is detected and written."""
    pytest.importorskip("av", reason="OpenCV writes no video of 1 px")
    images = [plain_image(0, 1, 1), plain_image(120, 30, 8000), plain_image(120, 24, 32), plain_image(0, 47, 33)]
    rates = (0.0, 1000.0, 25.0, float("nan"))
    use_captures(monkeypatch, **{str(n): [FakeCapture([images[n]], fps=rates[n])] for n in range(4)})
    (tmp_path / "l.streams").write_text("0\n1\n2\n3\n")
    with pytest.raises(UserError, match="The 4 frames until then"):
        detect(detector=FakeDetector(), source=tmp_path / "l.streams", project=tmp_path, save_crop=True, retries=1)
    sizes = {path.stem: read_back(path)[2] for path in (tmp_path / "exp").glob("*.mp4")}
    assert len(sizes) == 4 and sizes["camera_1"] == (30, 8000)


def test_a_real_detector_takes_any_size(best: Path) -> None:
    predictor = engine.Predictor(
        engine.inference.backends.load_backend(best, DetectOptions()), imgsz=(64, 64), conf=0.0
    )
    images = [plain_image(9, 1, 1), plain_image(9, 2, 8000), plain_image(9, 8000, 2), plain_image(9, 24, 32)]
    for image, boxes in zip(images, predictor(images), strict=True):
        height, width = image.shape[:2]
        assert (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all() and boxes.isfinite().all()


def test_a_thousand_frames_a_second_are_seen_and_not_all_converted() -> None:
    clock = iter(number / 1000 for number in range(10**6))
    capture = FakeCapture([plain_image()] * 1000, fps=1000.0)
    reader = LiveReader(
        Source("stream", "x", "x", 1, "x"), Script(x=[capture]), fastest=60.0, wait=lambda _: True,
        clock=lambda: next(clock), log=lambda _: None,
    )  # fmt: skip
    frames = list(reader.frames())
    assert 50 <= len(frames) == capture.retrieved <= 64 and frames[-1].number > 950


def test_tracking_goes_with_tiles_stride_classes_and_enhancement(best: Path, inputs: Path) -> None:
    pytest.importorskip("lap")
    options = {"slice": 32, "vid_stride": 2, "classes": [0], "enhance": "gamma", "imgsz": 32, "conf_thres": 0.0}
    frames = list(stream(weights=best, source=inputs / "v.mp4", track="bytetrack", **options))
    assert [frame.number for frame in frames] == [1, 3, 5]
    assert all(frame.boxes.shape[1] == 7 and set(frame.boxes[:, 5].tolist()) <= {0.0} for frame in frames)


def test_a_stream_that_breaks_off_leaves_the_identities_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lap")
    frames = [plain_image(0, 48, 64)] * 4
    use_captures(
        monkeypatch,
        **{"rtsp://a/1": [FakeCapture(frames), FakeCapture(frames)], "rtsp://b/1": [FakeCapture(frames * 3)]},
    )
    (tmp_path / "l.streams").write_text("rtsp://a/1\nrtsp://b/1\n")
    seen: dict[str, set[int]] = {}
    with pytest.raises(UserError, match="all sources failed"):  # in the end
        for frame in stream(detector=FakeDetector(), source=tmp_path / "l.streams", retries=1, track="bytetrack"):
            seen.setdefault(frame.source, set()).update(frame.tracking.ids.tolist())
    assert sorted(sorted(ids) for ids in seen.values()) == [[1], [2]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"save_conf": True}, "--save-conf: does nothing without --save-txt"),
        ({"serve_token": "x" * 40}, "without --serve"),
    ],
)
def test_an_option_that_does_nothing_alone(tmp_path: Path, given: dict[str, object], message: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), plain_image())
    with pytest.raises(UserError, match=message):
        detect(detector=FakeDetector(), source=tmp_path, project=tmp_path / "runs", **given)
    assert not (tmp_path / "runs").exists()
