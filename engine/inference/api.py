"""The detection loop: `engine.detect(...)` behind detect.py, and `stream(...)` for programs that want the boxes.

    import engine
    for source, number, image, boxes in engine.stream(weights="best.pt", source="rtsp://camera/1"):
        ...   # image (H, W, 3) uint8 blue-green-red; boxes (n, 6) x1 y1 x2 y2 in pixels, confidence, class
              # with track="bytetrack": boxes (n, 7), the last column an identity, 0: none (yet)

Three things overlap: sources are read ahead in threads, the detector runs here, results are drawn and written in one
more thread.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from data.config import task_of
from engine.enhancement.enhancer import chained, enhancer_of
from engine.inference.capture import Frame, open_capture
from engine.inference.display import open_window
from engine.inference.factory import open_predictor
from engine.inference.frame_reader import FrameReader
from engine.inference.predictor import Preprocess
from engine.inference.sources import SourcePlan, plan_sources
from engine.inference.worker import WorkerThread
from engine.inference.writers import DEFAULT_RATE, DrawStyle, Outputs, Writer, class_name, outputs_of
from engine.latest import to_detect
from engine.messages.frame import FrameInfo
from engine.messages.outbox import Outbox, check_messages
from engine.options.detect import DetectOptions
from engine.serving.access import reserve
from engine.serving.page import Page
from engine.streams.av_capture import has_av
from engine.streams.watchdog import Alarm
from engine.tasks import DETECT, resolve, task_of_weights
from engine.tracking.result import TrackingResult
from engine.tracking.tracking import Tracking, check_tracking
from engine.visual.heatmap import view_of
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import empty_goes, new_run_folder
from utils.log import LOGGER
from utils.options import build, canonical
from utils.signals import stopped_by_sigterm

NEEDS = {"save_conf": "save_txt", "serve_token": "serve"}
FASTEST = 60.0  # frames per second of a camera or stream that are converted at most
SLOW_OPENING = (
    "warning: --source: OpenCV opens one stream after another, so that a silent one delays the others by 10 s. "
    "Run pip install av to open each by itself."
)


class AnyDetector(Protocol):
    """What the loop needs of a detector; `engine.inference.predictor.Predictor` is one."""

    names: Mapping[int, str]
    shapes: list[tuple[int, int]]  # (height, width) of each image of the last call, as the network saw it
    milliseconds: float  # inference time of the last call per image
    spent: dict[str, float]  # seconds by stage, over all calls

    def __call__(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """Boxes (n, 6) of each image."""


@dataclass
class DetectResult:
    """The result of a run. `save_dir` is None if nothing is saved; `dead`: (source, reason) of failed sources."""

    save_dir: Path | None
    frames: int = 0
    detections: int = 0
    dead: list[tuple[str, str]] = field(default_factory=list)


class _Streamed(NamedTuple):
    """What `stream` yields, to unpack."""

    source: str
    number: int
    image: np.ndarray
    boxes: Tensor


class StreamedFrame(_Streamed):
    """A frame of `stream`: unpacks as (source, frame number from 1, image, boxes).

    `tracking`: see TrackingResult; `alarms`: see Alarm.
    """

    tracking: TrackingResult = TrackingResult()
    alarms: tuple[Alarm, ...] = ()


def stream(
    *, detector: AnyDetector | None = None, preprocess: Preprocess | None = None, **options: Any
) -> Iterator[StreamedFrame]:
    """Yield (source, frame number from 1, image, boxes) of every frame, with the options of detect.py. Saves nothing.

    boxes: (n, 6), with --track (n, 7): the last column is an identity, 0 for none. Counts are in the frame's `tracking`.
    detector: used in place of `weights`. preprocess: an image (H, W, 3) uint8 to another, before detection. Raises
    UserError for wrong options, and at the end if every source failed.
    """
    (chosen,) = build([DetectOptions], options if detector else to_detect(canonical(options, [DetectOptions])))
    sources = plan_sources(chosen.source)
    check_tracking(chosen, sources.firsts)
    predictor: AnyDetector = detector or open_predictor(chosen, _before(chosen, preprocess))
    result, tracking = DetectResult(None), open_tracking(chosen, sources, predictor.names)
    with open_reader(sources, chosen) as reader:
        for frame, boxes, seen in _detections(reader, predictor, result, tracking):
            rows = torch.column_stack((boxes, torch.from_numpy(seen.ids))) if tracking else boxes
            streamed = StreamedFrame(frame.item.label, frame.number, frame.image, rows)
            streamed.tracking, streamed.alarms = seen, frame.alarms
            yield streamed
    finish(result, reader, sources)


def detect(
    *, detector: AnyDetector | None = None, preprocess: Preprocess | None = None, **options: Any
) -> DetectResult:
    """Run a detector over sources, with the options of detect.py; print a line per frame, save what was asked for.

    detector: used in place of `weights`. preprocess: an image (H, W, 3) uint8 to another, before detection. Videos
    are complete also after Ctrl-C. Raises UserError for wrong options, and where every source failed.
    Without weights the newest run's best checkpoint is used, else the bundled demo detector.
    Weights of another task go to that task's own detection, which takes the same options.
    """
    options = options if detector else to_detect(canonical(options, [DetectOptions]))
    (chosen,) = build([DetectOptions], options)
    other = resolve("detect", _task(chosen)) if detector is None else None
    if other is not None:
        found: DetectResult = other(**options)
        return found
    sources = plan_sources(chosen.source)
    check_tracking(chosen, sources.firsts)
    check_messages(chosen)
    check_needs(chosen)
    place = reserve(chosen.serve, chosen.serve_token) if chosen.serve else None
    predictor: AnyDetector = detector or open_predictor(chosen, _before(chosen, preprocess))
    paint = view_of(predictor) if chosen.show_map else None
    style = DrawStyle(predictor.names, chosen.line_thickness, not chosen.hide_labels, not chosen.hide_conf, paint)
    outputs = outputs_of(chosen)
    tracking = open_tracking(chosen, sources, predictor.names)
    result = DetectResult(run_folder(chosen, sources) if outputs.any else None)
    clean = empty_goes(result.save_dir) if result.save_dir else nullcontext()
    started, spent = time.perf_counter(), dict(predictor.spent)
    try:
        with (
            stopped_by_sigterm(),
            clean,
            Outbox(chosen, predictor.names) as outbox,
            open_reader(sources, chosen) as reader,
        ):
            page = Page(place, predictor.names, list(reader.monitors.values())) if place else None
            _run(reader, predictor, style, outputs, chosen, result, tracking, outbox, page)
    except KeyboardInterrupt:
        LOGGER.info(
            f"stopped after {result.frames} frames" + (f"; results are in {result.save_dir}" if result.save_dir else "")
        )
        raise
    stages = {stage: seconds - spent[stage] for stage, seconds in predictor.spent.items()}
    _summary(result, stages, time.perf_counter() - started)
    finish(result, reader, sources)
    return result


def check_needs(options: DetectOptions) -> None:
    """Raise UserError for an option that does nothing without another one."""
    for name, other in NEEDS.items():
        if getattr(options, name) and not getattr(options, other):
            own, needed = (f"--{text.replace('_', '-')}" for text in (name, other))
            raise UserError(f"{own}: does nothing without {needed}. Add {needed}, or leave {own} out.")


def _task(options: DetectOptions) -> str:
    """The task of the weights: what their header says, or that of the same name beside a .pt file; else that of --data."""
    said = task_of_weights(options.weights) if options.weights else DETECT
    return task_of(options.data) if said == DETECT and options.data else said


def _before(options: DetectOptions, preprocess: Preprocess | None) -> Preprocess | None:
    """What happens to a whole image before it is scaled: the caller's step, then --enhance."""
    return chained(preprocess, enhancer_of(options, pick_device(options.device)))


def frame_line(frame: Frame, items: int, boxes: Tensor, detector: AnyDetector, index: int) -> str:
    """The line of a frame: `video 1/2 (3/67) clip.mp4: 384x640 2 cars, 1 dog, 12.3ms`. index: place in the batch."""
    kind = frame.item.kind if frame.item.kind in {"image", "video"} else "stream"
    number = f"{frame.number}/{frame.total}" if frame.total else f"{frame.number}"
    place = f"{kind} {frame.item.order}/{items}" + ("" if kind == "image" else f" ({number})")
    counts = Counter(class_name(detector.names, number) for number in sorted(boxes[:, 5].tolist()))
    found = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items()] or ["(no detections)"]
    height, width = detector.shapes[index]
    wrong = f" [{', '.join(alarm.text for alarm in frame.alarms)}]" if frame.alarms else ""
    return f"{place} {frame.item.label}: {height}x{width} {', '.join(found)}, {detector.milliseconds:.1f}ms{wrong}"


def _run(
    reader: FrameReader,
    detector: AnyDetector,
    style: DrawStyle,
    outputs: Outputs,
    options: DetectOptions,
    result: DetectResult,
    tracking: Tracking | None,
    outbox: Outbox,
    page: Page | None,
) -> None:
    """Every frame through detector, tracker, window, page and writer."""
    window = open_window() if options.view_img else None
    writer = Writer(
        result.save_dir or Path(), outputs, style, together=reader.plan.together, rate=1 / options.vid_stride
    )

    def save(frame: Frame, rows: np.ndarray, drawn: np.ndarray | None, seen: TrackingResult, when: float) -> None:
        """Work of the writing thread."""
        writer.save(frame, rows, drawn, seen)
        outbox.send(frame_info(frame, when), rows, seen, frame.live)

    with (
        page or nullcontext(),
        closing(window) if window else nullcontext(),
        closing(writer),
        WorkerThread(save) as saver,
    ):
        for frame, boxes, seen in _detections(reader, detector, result, tracking, show=True):
            rows = boxes.numpy()
            drawn = style(frame.image, rows, seen) if window else None
            saver.put(frame, rows, drawn, seen, time.time(), size=frame.image.nbytes)
            if page:
                page.show(frame.item.order, frame.number, frame.image, rows, seen)
            if window and drawn is not None and not window.show(frame.item.title, drawn, frame.item.kind == "image"):
                return


def _detections(
    reader: FrameReader,
    detector: AnyDetector,
    result: DetectResult,
    tracking: Tracking | None = None,
    show: bool = False,
) -> Iterator[tuple[Frame, Tensor, TrackingResult]]:
    """Every frame with its boxes and what tracking says; `result` counts along, `show` prints a line each."""
    for frames in reader:
        for index, (frame, found) in enumerate(zip(frames, detector([f.image for f in frames]), strict=True)):
            frame = replace(
                frame, alarms=reader.monitors[frame.item.order].detected(frame.read if frame.live else None)
            )
            boxes, seen = _tracked(frame, found, tracking)
            result.frames += 1
            result.detections += len(boxes)
            if show:
                LOGGER.info(frame_line(frame, len(reader.plan.items), boxes, detector, index))
            yield frame, boxes, seen


def open_tracking(options: DetectOptions, sources: SourcePlan, names: Mapping[int, str]) -> Tracking | None:
    """The trackers that the options ask for; None where they ask for none."""
    return Tracking(options, names, together=sources.together) if options.track != "none" else None


def _tracked(frame: Frame, boxes: Tensor, tracking: Tracking | None) -> tuple[Tensor, TrackingResult]:
    """Detections with identities, and what else is known of the frame."""
    if tracking is None:
        return boxes, TrackingResult()
    item = frame.item
    return tracking(item.sequence, item.first, position(frame), frame.image, boxes, live=frame.live)


def frame_info(frame: Frame, when: float) -> FrameInfo:
    """Which frame it is, for messages. when: seconds since 1970."""
    item = frame.item
    return FrameInfo(item.label, item.order, frame.number, position(frame), frame.image.shape, when, frame.alarms)


def position(frame: Frame) -> float:
    """Seconds since the first frame of its source, by the clock or by the frame rate; images follow at 30 a second."""
    if frame.live:
        return frame.seconds
    number = frame.number if frame.item.kind != "image" else frame.item.place
    return (number - 1) / (frame.fps or DEFAULT_RATE)


@contextmanager
def open_reader(sources: SourcePlan, options: DetectOptions) -> Iterator[FrameReader]:
    """The frames of the sources. Messages of OpenCV and FFmpeg are suppressed."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if not has_av() and sum("://" in item.where and item.kind == "stream" for item in sources.items) > 1:
        LOGGER.warning(SLOW_OPENING)
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    opener = partial(open_capture, transport=options.rtsp_transport)
    try:
        with FrameReader(
            sources, stride=options.vid_stride, opener=opener, retries=options.retries, fastest=FASTEST,
            watchdog=options.watchdog,
        ) as reader:  # fmt: skip
            yield reader
    finally:
        cv2.utils.logging.setLogLevel(before)


def run_folder(options: DetectOptions, sources: SourcePlan) -> Path:
    """The new folder of this run. Raises UserError if results would land among the sources."""
    folder = new_run_folder(options.project, options.name, options.exist_ok)
    homes = {Path(item.where).resolve().parent for item in sources.items if item.kind in {"image", "video"}}
    if options.exist_ok and folder.resolve() in homes:
        raise UserError(f"--project {options.project}: {folder} holds the sources themselves. Choose another --name.")
    return folder


def _summary(result: DetectResult, spent: Mapping[str, float], seconds: float) -> None:
    """The last lines of a run: times and where results are. spent: seconds by stage."""
    if not result.frames:
        return
    stages = ", ".join(f"{1000 * part / result.frames:.1f} ms {stage}" for stage, part in spent.items())
    counts = f"{result.frames} frames, {result.detections} detections"
    LOGGER.info(f"{counts} in {seconds:.1f} s, {result.frames / seconds:.1f} frames/s ({stages} per frame)")
    if result.save_dir is not None:
        LOGGER.info(f"results are in {result.save_dir}")


def finish(result: DetectResult, reader: FrameReader, sources: SourcePlan) -> None:
    """Report what failed. Raises UserError if nothing was read at all, or if every live source is lost."""
    result.dead = reader.dead
    reasons = [f"{name}: {reason}" for name, reason in result.dead]
    if len(result.dead) == len(sources.items) and (sources.live or not result.frames):
        if result.save_dir is not None and not result.frames:
            with suppress(OSError):
                result.save_dir.rmdir()
        where = f"are in {result.save_dir}" if result.save_dir is not None else "were seen"
        kept = f" The {result.frames} frames until then {where}." if result.frames else ""
        raise UserError(f"--source: all sources failed: {'; '.join(reasons)}.{kept} Check the address, cable or file.")
    if reasons:
        LOGGER.info("\n  ".join([f"failed or truncated sources ({len(reasons)}):", *reasons]))
