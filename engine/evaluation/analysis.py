"""Where a detector fails, and why: average precision by parts of a split, error types and their costs, calibration."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.io.image_measures import MEASURES
from engine.evaluation.evaluator import METRICS, average, label_areas, per_class
from engine.evaluation.mistakes import Judged, confident, judge, save_worst, worst
from engine.evaluation.session import EvalSession
from engine.evaluation.subsets import WHOLE, Partition, Partitioner, SplitResults, asked_for
from engine.results import DetectionStats, Report, matches_of
from utils.metrics.bootstrap import image_interval
from utils.metrics.calibration import LOWEST, detection_ece, reliability
from utils.metrics.streaming_ap import ProtocolMeter
from utils.metrics.subsets import recall_at_precision
from utils.metrics.tide import TYPES, costs
from utils.tables import save_csv, text_table

RESAMPLES = 300  # of the images, for the interval of a part's mAP50
MEAN_AP = METRICS[2]
IN_REPORT = 24  # worst images of a split in report.html, where --worst does not say
MOST_NAMED = 8  # parts without objects that are named on the screen
SHOWN = ("by", "subset", "images", "instances", "mAP50", "low", "high", "mAP50-95")


class Subset(NamedTuple):
    """One part of a split: its images with what counts in it, and how many of them have an object; found (N,), objects (M,).

    places: of its images in the split, where it is a part of images.
    """

    name: str
    stats: list[DetectionStats]
    images: int
    found: NDArray[np.bool_]
    objects: NDArray[np.bool_]
    places: NDArray[np.int64] | None = None


def whole_of(split: SplitResults) -> Subset:
    """The split as one part."""
    found, objects = (np.ones(len(each), bool) for each in (split.image_of_found, split.image_of_objects))
    return Subset(WHOLE, list(split.stats), len(split.stats), found, objects, np.arange(len(split.stats)))


def subsets_of(split: SplitResults, partition: Partition) -> Iterator[Subset]:
    """The parts in order, those without an image or object too."""
    for number, name in enumerate(partition.objects.names):
        found, objects = partition.found.of == number, partition.objects.of == number
        if partition.images is not None:
            places = np.flatnonzero(partition.images.of == number)
            yield Subset(name, [split.stats[place] for place in places], len(places), found, objects, places)
        else:
            images = len(np.unique(split.image_of_objects[objects]))
            yield Subset(name, _filtered(split, found, objects), images, found, objects)


def _filtered(split: SplitResults, found: NDArray, objects: NDArray) -> list[DetectionStats]:
    """All images, with some of their detections and objects."""
    cuts = [np.cumsum([len(getattr(image, name)) for image in split.stats])[:-1] for name in ("conf", "target_cls")]
    columns = (np.split(found, cuts[0]), np.split(objects, cuts[1])) if split.stats else ((), ())
    return [
        DetectionStats(image.file, image.tp[mine], image.conf[mine], image.pred_cls[mine], image.target_cls[its])
        for image, mine, its in zip(split.stats, *columns, strict=True)
    ]


def report_of(report: Report, by: str, subset: Subset) -> Report:
    """The report on a part, as val.py measures a data set of just these images or objects; NaN where there is no object."""
    instances = int(subset.objects.sum())
    names = {int(number): str(number) for image in subset.stats for number in (*image.target_cls, *image.pred_cls)}
    averages = average(subset.stats, names) if instances else None
    values = averages.mean_results() if averages else [float("nan")] * len(METRICS)
    metrics = dict(zip(METRICS, map(float, values), strict=True))
    part = f"{by} {subset.name}"
    rows = per_class(averages, names) if averages else []
    return replace(
        report,
        condition=f"{report.condition}, {part}",
        part=part,
        images=subset.images,
        instances=instances,
        metrics=metrics,
        per_class=rows,
        per_image=tuple(subset.stats),
    )


def row_of(split: SplitResults, report: Report, by: str, subset: Subset, precision: float) -> dict[str, Any]:
    """The row of a part: its accuracy with an interval, recall at a precision, calibration, and what its errors cost."""
    measured = report if by == WHOLE else report_of(report, by, subset)
    conf = np.concatenate([np.zeros(0), *(image.conf for image in subset.stats)])
    hit = np.concatenate([np.zeros(0, bool), *(image.tp[:, 0] for image in subset.stats)]).astype(bool)
    row: dict[str, Any] = {**report.head, "by": by, "subset": subset.name}
    row |= {"images": subset.images, "instances": measured.instances, MEAN_AP: measured.metrics[MEAN_AP]}
    low, high = _interval(measured)
    row |= {"low": low, "high": high, METRICS[3]: measured.metrics[METRICS[3]]}
    row[recall_name(precision)] = recall_at_precision(hit, conf, measured.instances, precision)
    row["D-ECE"] = detection_ece(conf, hit)
    spent = costs(split.errors, subset.found, subset.objects) if measured.instances else {}
    return row | {f"cost {name}": spent.get(name, float("nan")) for name in TYPES}


def protocol_row(meter: ProtocolMeter, subset: Subset) -> dict[str, float]:
    """The numbers of a protocol on a part of images; NaN on a part of objects, of which the protocol has its own idea."""
    part = copy(meter)
    part.images = [meter.images[place] for place in (subset.places if subset.places is not None else ())]
    found = part.result()[0]
    return found if part.images else dict.fromkeys(found, float("nan"))


def meter_of(split: SplitResults, session: EvalSession) -> ProtocolMeter | None:
    """The images of a split matched by the session's protocol; None without one."""
    protocol, lvis = session.options.protocol, session.lvis
    if protocol is None:
        return None
    meter = ProtocolMeter(protocol, lvis.frequency if lvis else ())
    for result in split.results:
        known = lvis.of(result.file) if lvis else None
        absent, partial = (known.absent, known.partial) if known else (None, ())
        truth = (result.targets, label_areas(result.targets), result.target_classes)
        meter.add(result.boxes, result.scores, result.classes, *truth, absent=absent, partial=partial)
    return meter


def recall_name(precision: float) -> str:
    """The column of the recall at a precision."""
    return f"recall at precision {precision:g}"


def _interval(report: Report) -> tuple[float, float]:
    """The 95 % interval of the mAP50 over resampled images; NaN for one image or without objects."""
    if not report.instances or len(report.per_image) < 2:
        return float("nan"), float("nan")
    found = image_interval(matches_of(report.detections, 0), report.metrics[MEAN_AP], samples=RESAMPLES)
    return found.low, found.high


@dataclass
class Analysis:
    """What is found out about all splits of a validation beside their metrics."""

    session: EvalSession
    partitioner: Partitioner
    splits: list[tuple[Report, SplitResults]] = field(default_factory=list)
    subsets: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    reliability: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    worst: list[list[Judged]] = field(default_factory=list)  # of each split

    def add(self, report: Report, split: SplitResults) -> None:
        """Analyse one split."""
        split.stats = report.detections
        self.splits.append((report, split))
        precision = self.session.options.at_precision
        parts = [(WHOLE, whole_of(split))]
        parts += [(part.by, subset) for part in self.partitioner.of(split) for subset in subsets_of(split, part)]
        meter = meter_of(split, self.session)
        for by, subset in parts:
            row = row_of(split, report, by, subset, precision)
            self.subsets.append(row | (protocol_row(meter, subset) if meter else {}))
        self.errors += error_rows(report, split)
        conf, hit = split.errors.scores, split.errors.kind == -1
        self.reliability += [{**report.head, **row} for row in reliability(conf, hit)]
        self._judge(report, split)

    def _judge(self, report: Report, split: SplitResults) -> None:
        """The images one by one, with their measures where these are known anyway."""
        judged = judge(split)
        names = [name for name in self.partitioner.measured if name in MEASURES]
        values = self.partitioner.measures(split)[:, [list(MEASURES).index(name) for name in names]] if names else None
        for image in judged:
            known = dict(zip(names, map(float, values[image.place]), strict=True)) if values is not None else {}
            self.images.append({**report.head, **image.row(), **known})
        options = self.session.options
        self.worst.append(worst(judged, options.worst or (IN_REPORT if options.report else 0)))

    def write(self, folder: Path) -> None:
        """Write subsets.csv, errors.csv, reliability.csv and images.csv, and print what is most telling."""
        for name in ("subsets", "errors", "reliability", "images"):
            save_csv(folder / f"{name}.csv", getattr(self, name))
        names = dict(self.session.model.names)
        for (report, split), images in zip(self.splits, self.worst, strict=True):
            save_worst(folder / "worst" / report.split, split, images, names)
        columns = (*SHOWN, recall_name(self.session.options.at_precision), "D-ECE")
        there = [row for row in self.subsets if row["instances"] or row["by"] == WHOLE]
        print("\n" + text_table([{"condition": row["condition"], **{c: row[c] for c in columns}} for row in there]))
        shown = [
            {key: value for key, value in row.items() if key not in ("split", "resolution")} for row in self.errors
        ]
        print(f"\nerrors: at confidence {LOWEST} and more, and what all of a type cost in mAP50\n" + text_table(shown))
        absent = [f"{row['condition']}, {row['by']} {row['subset']}" for row in self.subsets if not row["instances"]]
        if absent:
            more = f"; and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
            print(f"\nabsent (no object): {'; '.join(absent[:MOST_NAMED])}{more}")


def error_rows(report: Report, split: SplitResults) -> list[dict[str, Any]]:
    """One row per error type: how often at usable confidences, and what all of them cost."""
    spent = costs(split.errors)
    return [
        {**report.head, "error": name, "count": count, "cost in mAP50": spent[name]}
        for name, count in confident(split).counts().items()
    ]


def analysis_of(session: EvalSession) -> Analysis | None:
    """The analysis that the options ask for, checked; None where they ask for none."""
    options = session.options
    if options.by is None and not options.worst and not options.report and not options.calibrate:
        return None
    partitioner = Partitioner(session, asked_for(options.by) if options.by else [])
    partitioner.check()
    return Analysis(session, partitioner)
