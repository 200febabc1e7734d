"""Outputs of a detection run: images, videos, label files, a table, crops. Inputs are never changed."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from data.io.images import encode
from engine.inference.capture import Frame
from engine.inference.video_writer import VideoWriter
from engine.options.detect import DetectOptions
from engine.recording.encoders import chosen
from engine.recording.recorder import GIB, Moment, Recorder, RecordingOptions, events_of
from engine.tracking.drawing import draw_tracking
from engine.tracking.mot import MotWriter
from engine.tracking.result import TrackingResult
from utils.draw import draw_boxes
from utils.errors import UserError
from utils.files import atomic_write

COLUMNS = ("Image Name", "Prediction", "Confidence", "Frame", "X1", "Y1", "X2", "Y2")  # the first three are YOLOv5's
KEPT_FORMATS = frozenset({".bmp", ".png", ".tif", ".tiff", ".webp"})  # other images are written as .jpg
DEFAULT_RATE = 30.0  # frames a second of a source that does not state them
CROP_MARGIN = (1.02, 10)  # factor and pixels by which a crop is larger than its box


@dataclass(frozen=True)
class Outputs:
    """What to write. `images` stands for annotated images and videos."""

    images: bool = True
    labels: bool = False
    confidences: bool = False
    table: bool = False
    crops: bool = False
    mot: bool = False
    recording: RecordingOptions | None = None
    codec: str = "auto"

    @property
    def any(self) -> bool:
        """Whether anything is written at all."""
        return self.images or self.labels or self.table or self.crops or self.mot or self.recording is not None


def outputs_of(options: DetectOptions) -> Outputs:
    """The outputs that options ask for."""
    return Outputs(
        not options.nosave, options.save_txt, options.save_conf, options.save_csv, options.save_crop, options.save_mot,
        recording_of(options), options.codec,
    )  # fmt: skip


def recording_of(options: DetectOptions) -> RecordingOptions | None:
    """How to record, or None. Raises UserError for a codec that is not there."""
    chosen(options.codec) if options.record != "none" or options.codec != "auto" else None
    if options.record == "none":
        return None
    return RecordingOptions(
        options.record, options.record_segment, options.record_before, options.record_after,
        round(options.record_limit * GIB), options.codec, bool(options.line or options.zone),
    )  # fmt: skip


@dataclass(frozen=True)
class DrawStyle:
    """How boxes are drawn, see utils.draw.draw_boxes; `paint` makes the image that they are drawn on of the frame."""

    names: Mapping[int, str]
    thickness: int = 3
    labels: bool = True
    conf: bool = True
    paint: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, image: np.ndarray, boxes: np.ndarray, seen: TrackingResult | None = None) -> np.ndarray:
        """The annotated image, (H, W, 3) uint8; boxes: (n, 6)."""
        seen = seen or TrackingResult()
        drawn = self.paint(image) if self.paint else image
        drawn = draw_tracking(drawn, boxes, seen, self.thickness)
        return draw_boxes(
            drawn,
            boxes,
            self.names,
            thickness=self.thickness,
            labels=self.labels,
            conf=self.conf,
            ids=seen.ids.tolist(),
        )


class Writer:
    """Writes the results of a run into its folder, frame by frame. `close` finishes videos; call it in any case.

    together: frames of several sources come in turn, so that each video stays open until the end. rate: factor on the
    frame rate of videos, below 1 where frames were left out.
    """

    def __init__(
        self, folder: Path, outputs: Outputs, style: DrawStyle, *, together: bool = False, rate: float = 1.0
    ) -> None:
        self.folder, self.outputs, self.style, self.together, self.rate = folder, outputs, style, together, rate
        self._videos: dict[str, VideoWriter] = {}
        self._table: TextIO | None = None
        self._mot = MotWriter(folder / "mot")
        self._recorder = Recorder(folder / "recordings", outputs.recording) if outputs.recording else None

    def save(
        self,
        frame: Frame,
        boxes: np.ndarray,
        drawn: np.ndarray | None = None,
        seen: TrackingResult | None = None,
    ) -> None:
        """Write what was asked for. boxes: (n, 6) x1 y1 x2 y2 in pixels, confidence, class; drawn: if drawn already."""
        recorded = self._recorder is not None and frame.item.kind != "image"
        if self.outputs.images or recorded:
            drawn = self.style(frame.image, boxes, seen) if drawn is None else drawn
            if recorded:  # in place of one video that grows without end
                self._record(frame, drawn, boxes, seen or TrackingResult())
            elif frame.item.kind == "image":  # an image keeps its format where that is one to write
                suffix = Path(frame.item.label).suffix.lower()
                write_image(self.folder / f"{frame.item.stem}{suffix if suffix in KEPT_FORMATS else '.jpg'}", drawn)
            else:
                self._save_video(frame, drawn)
        if self.outputs.labels and len(boxes):
            text = label_text(boxes, frame.image.shape, self.outputs.confidences)
            atomic_write(self.folder / "labels" / f"{numbered(frame)}.txt", text.encode())
        if self.outputs.table:
            self._save_rows(frame, boxes)
        if self.outputs.crops:
            self._save_crops(frame, boxes)
        if self.outputs.mot and seen:
            self._save_tracks(frame, boxes, seen)

    def close(self) -> None:
        """Finish what is open."""
        self._close_videos()
        if self._recorder is not None:
            self._recorder.close()
        if self._table is not None:
            self._table.close()

    def _record(self, frame: Frame, drawn: np.ndarray, boxes: np.ndarray, seen: TrackingResult) -> None:
        """Hand an annotated frame to the recorder, with what happened in it."""
        assert self._recorder is not None and self.outputs.recording is not None
        rate = (frame.fps or DEFAULT_RATE) * self.rate
        seconds = frame.seconds if frame.live else (frame.number - 1) / (frame.fps or DEFAULT_RATE)
        events = events_of(boxes, seen, self.style.names, self.outputs.recording.regions)
        if not self.together:  # the source before has ended
            self._recorder.close(but=frame.item.stem)
        self._recorder.save(frame.item.stem, frame.item.label, rate, Moment(drawn, seconds, events))

    def _save_tracks(self, frame: Frame, boxes: np.ndarray, seen: TrackingResult) -> None:
        """Rows of the sequence's own file. Frames have the numbers of the ground truth, unreadable images counted."""
        item, still = frame.item, frame.item.kind == "image"
        stem, number = (Path(item.sequence).name or "images", item.place) if still else (item.stem, frame.number)
        self._mot.save(item.sequence, stem, number, boxes, seen.ids)

    def _close_videos(self) -> None:
        """Finish the videos so far."""
        while self._videos:
            self._videos.popitem()[1].close()

    def _save_video(self, frame: Frame, drawn: np.ndarray) -> None:
        """One video per source; a file's is finished when the next begins."""
        stem = frame.item.stem
        if stem not in self._videos:
            if not self.together:
                self._close_videos()
            self._videos[stem] = VideoWriter(
                self.folder / f"{stem}.mp4", (frame.fps or DEFAULT_RATE) * self.rate, self.outputs.codec
            )
        self._videos[stem].write(drawn, frame.seconds if frame.live else None)

    def _save_rows(self, frame: Frame, boxes: np.ndarray) -> None:
        """Rows of predictions.csv, handed to the system when this returns."""
        if self._table is None:  # one that already exists goes on
            self._table = (self.folder / "predictions.csv").open(
                "a", newline="", encoding="utf-8", errors="backslashreplace"
            )
            if not self._table.tell():
                csv.writer(self._table).writerow(COLUMNS)
        csv.writer(self._table).writerows(table_rows(frame, boxes, self.style.names))
        self._table.flush()

    def _save_crops(self, frame: Frame, boxes: np.ndarray) -> None:
        """One image a detection: crops/CLASS/NAME.jpg, NAME_2.jpg, ..., whichever is the next that is not there yet."""
        counts: dict[Path, int] = {}
        for box in boxes.tolist():
            piece = crop(frame.image, box)
            if not piece.size:
                continue
            folder = self.folder / "crops" / safe_name(class_name(self.style.names, box[5]))
            path = folder / f"{numbered(frame)}.jpg"
            while path.exists():  # a_2.jpg may be the second of a.jpg, or the first of a_2.jpg
                counts[folder] = counts.get(folder, 1) + 1
                path = folder / f"{numbered(frame)}_{counts[folder]}.jpg"
            write_image(path, piece)


def numbered(frame: Frame) -> str:
    """Name of a frame's own files: the source's, with the frame's number unless it is an image."""
    return frame.item.stem if frame.item.kind == "image" else f"{frame.item.stem}_{frame.number}"


def class_name(names: Mapping[int, str], number: float) -> str:
    """Name of a class, or its number where it has none."""
    return names.get(int(number), str(int(number)))


def safe_name(name: str) -> str:
    """A class name as the name of a folder that lies where it should, on every file system."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]+', "_", name).strip(". ")[:100] or "_"


def label_text(boxes: np.ndarray, shape: Sequence[int], confidences: bool = False) -> str:
    """Rows `class x y width height [confidence]`, centre and size as fractions of the image (height, width, ...)."""
    height, width = shape[:2]
    rows = []
    for x1, y1, x2, y2, score, number in boxes.tolist():
        place = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        values = (*place, score) if confidences else place
        rows.append(" ".join([str(int(number)), *(f"{value:.6f}" for value in values)]))
    return "".join(row + "\n" for row in rows)


def table_rows(frame: Frame, boxes: np.ndarray, names: Mapping[int, str]) -> Iterator[list[Any]]:
    """Rows of predictions.csv in the order of COLUMNS; corners in pixels."""
    name = Path(frame.item.label).name if frame.item.kind in {"image", "video"} else frame.item.label
    for *corners, score, number in boxes.tolist():
        yield [name, class_name(names, number), f"{score:.2f}", frame.number, *(f"{corner:.1f}" for corner in corners)]


def crop(image: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """The piece of an image (H, W, 3) inside a box x1 y1 x2 y2 and a small margin, cut at the image's edge."""
    factor, pixels = CROP_MARGIN
    x1, y1, x2, y2 = box[:4]
    half_width, half_height = ((x2 - x1) * factor + pixels) / 2, ((y2 - y1) * factor + pixels) / 2
    left, top = max(0, round((x1 + x2) / 2 - half_width)), max(0, round((y1 + y2) / 2 - half_height))
    return image[top : round((y1 + y2) / 2 + half_height), left : round((x1 + x2) / 2 + half_width)]


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8, blue-green-red, whole or not at all, in the format of the path's suffix."""
    coded = encode(image, path.suffix)
    if coded is None:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise UserError(f"{path}: an image of {size} pixels does not fit into this format. Try --nosave.")
    atomic_write(path, coded)
