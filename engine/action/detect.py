"""detect.py with a clip classifier: what is done in a video, when, printed and painted as a timeline."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.config import load_data
from data.video.dataset import as_tensor, assemble, centre_window, cut
from engine.action.timeline import ClipWindow, LabelledFrame, Timeline
from engine.checkpoint.classifier import CLIPS, LoadedClassifier, load_classifier
from engine.classification.evaluation import Enhance, probabilities
from engine.enhancement.enhancer import enhancer_of
from engine.inference.api import DetectResult, finish, open_reader, run_folder
from engine.inference.display import open_window
from engine.inference.frame_reader import FrameReader
from engine.inference.sources import Source, plan_sources
from engine.inference.worker import WorkerThread
from engine.inference.writers import DEFAULT_RATE, DrawStyle, Outputs, Writer, class_name
from engine.options.detect import DetectOptions
from engine.tasks import check_meaning
from utils.devices import on_gpu, pick_device
from utils.errors import UserError
from utils.files import find_weights
from utils.log import LOGGER
from utils.options import build, canonical
from utils.signals import stopped_by_sigterm
from utils.tables import save_csv


def detect(**options: Any) -> DetectResult:
    """Name the actions in videos and streams, with the options of detect.py; `detections` counts the segments found.

    Prints a line per clip and a timeline a source; writes the videos with the label and a bar of the labels so far, and
    timeline.csv, also after Ctrl-C. Raises UserError for what the user can mend.
    """
    given = canonical(options, [DetectOptions])
    check_meaning(given, [DetectOptions], CLIPS)
    (chosen,) = build([DetectOptions], given)
    sources = plan_sources(chosen.source)
    still = next((item for item in sources.items if item.kind == "image"), None)
    if still is not None:
        raise UserError(
            f"--source {still.label}: is an image, and action recognition needs video. Name videos or streams."
        )
    classifier, names = _classifier(chosen)
    classify = ClipRunner(classifier, names, enhancer_of(chosen, pick_device(chosen.device)), chosen.half)
    result = DetectResult(None if chosen.nosave and not chosen.save_csv else run_folder(chosen, sources))
    style = DrawStyle(names, chosen.line_thickness, not chosen.hide_labels, not chosen.hide_conf)
    timelines: dict[Source, Timeline] = {}
    started = time.perf_counter()
    try:
        with stopped_by_sigterm(), open_reader(sources, chosen) as reader:
            _run(reader, classify, style, chosen, result, timelines)
    except KeyboardInterrupt:
        LOGGER.info(f"stopped after {result.frames} frames")
        _report(timelines, names, result, time.perf_counter() - started)
        raise
    _report(timelines, names, result, time.perf_counter() - started)
    finish(result, reader, sources)
    return result


def _classifier(options: DetectOptions) -> tuple[LoadedClassifier, dict[int, str]]:
    """The network that the options name, and the names of its classes."""
    if options.weights is None:
        raise UserError("--weights: no clip classifier was given. Name a file such as runs/train/exp/weights/best.pt.")
    file = find_weights(options.weights)
    classifier = load_classifier(file, CLIPS, pick_device(options.device), options.trust)
    names = load_data(options.data, need=()).names if options.data else classifier.names
    if names is None:
        raise UserError(f"--weights {file}: does not hold its class names. Add --data NAME.yaml.")
    if len(names) != classifier.classes:
        raise UserError(
            f"--data {options.data}: names {len(names)} classes, the network has {classifier.classes}. Leave --data out."
        )
    return classifier, names


class ClipRunner:
    """A clip classifier as a function of decoded frames; `milliseconds`: of the last call."""

    def __init__(
        self, classifier: LoadedClassifier, names: dict[int, str], enhance: Enhance | None = None, half: bool = False
    ) -> None:
        self.model, self.shape, self.names = classifier.model, classifier.shape, names
        self.enhance, self.half, self.milliseconds = enhance, half, 0.0

    @torch.no_grad()
    def __call__(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Frames (H, W, 3) uint8, blue-green-red, of one size; fewer than a clip are looped. Returns (classes,)."""
        start = time.perf_counter()
        window = centre_window(frames[0].shape[:2])
        clip = assemble([cut(frame, window, self.shape.size) for frame in frames], self.shape.frames)
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, torch.float16, enabled=self.half and on_gpu(device)):
            batch = as_tensor(clip)[None, None].to(device)  # (1, 1, 3, T, S, S)
            scores = probabilities(self.model, batch, self.enhance)[0].cpu().numpy()
        self.milliseconds = 1000 * (time.perf_counter() - start)
        return scores


def _run(
    reader: FrameReader, classify: ClipRunner, style: DrawStyle, options: DetectOptions, result: DetectResult,
    timelines: dict[Source, Timeline],
) -> None:  # fmt: skip
    """Every frame through the classifier, window and writer; `timelines` grow along."""
    window = open_window() if options.view_img else None
    outputs = Outputs(not options.nosave, table=options.save_csv)
    writer = Writer(
        result.save_dir or Path(), outputs, style, together=reader.plan.together, rate=1 / options.vid_stride
    )
    with closing(window) if window else nullcontext(), closing(writer), WorkerThread(writer.save) as saver:
        for seen in _labelled(reader, classify, options.vid_stride):
            frame, result.frames = seen.frame, result.frames + 1
            timeline = timelines.setdefault(frame.item, Timeline(frame.fps or DEFAULT_RATE))
            timeline.add(seen)
            rows = np.array([[0, 0, frame.image.shape[1], frame.image.shape[0], seen.confidence, seen.label]])
            drawn = timeline.paint(style(frame.image, rows), frame.total) if window or outputs.images else None
            if outputs.any:
                saver.put(frame, rows, drawn)
            if window and drawn is not None and not window.show(frame.item.title, drawn, still=False):
                return


def _labelled(reader: FrameReader, classify: ClipRunner, stride: int) -> Iterator[LabelledFrame]:
    """Every frame with its label; prints a line per clip. A video's last frames are labelled when another begins.

    Ctrl-C settles what was seen until then.
    """
    interval = max(1, round(classify.shape.interval / stride))  # as many seconds as before
    shape = replace(classify.shape, interval=interval)
    windows: dict[Source, ClipWindow] = {}
    interrupt = None
    try:
        for frame in chain.from_iterable(reader):
            if not reader.plan.together:
                for other in [item for item in windows if item != frame.item]:
                    yield from _log_clip(windows.pop(other).rest(), classify, reader)
            window = windows.setdefault(frame.item, ClipWindow(classify, shape))
            yield from _log_clip(window.add(frame), classify, reader)
    except KeyboardInterrupt as problem:
        interrupt = problem
    for window in windows.values():
        yield from _log_clip(window.rest(), classify, reader)
    if interrupt is not None:
        raise interrupt


def _log_clip(labelled: list[LabelledFrame], classify: ClipRunner, reader: FrameReader) -> list[LabelledFrame]:
    """Frames that are labelled now, after a line that says so."""
    if labelled:
        first, last = labelled[0].frame, labelled[-1].frame
        kind = "video" if first.item.kind == "video" else "stream"
        numbers = f"{first.number}-{last.number}" + (f"/{first.total}" if first.total else "")
        name = class_name(classify.names, labelled[0].label)
        place = f"{kind} {first.item.order}/{len(reader.plan.items)} ({numbers}) {first.item.label}"
        LOGGER.info(f"{place}: {name} {labelled[0].confidence:.2f}, {classify.milliseconds:.1f}ms")
    return labelled


def _report(timelines: Mapping[Source, Timeline], names: dict[int, str], result: DetectResult, seconds: float) -> None:
    """The timeline of each source, on screen and as a table; with its place in the plan where two are called the same."""
    times = Counter(item.label for item in timelines)
    called = {item: item.label if times[item.label] == 1 else item.title for item in timelines}
    rows = [row for item, timeline in timelines.items() for row in timeline.rows(called[item], names)]
    result.detections = len(rows)
    for item, timeline in timelines.items():
        LOGGER.info(f"{called[item]}: {timeline.text(names)}")
    if not result.frames:
        return
    LOGGER.info(f"{result.frames} frames in {seconds:.1f} s, {result.frames / seconds:.1f} frames/s")
    if result.save_dir is not None:
        save_csv(result.save_dir / "timeline.csv", rows)
        LOGGER.info(f"results in {result.save_dir}")
