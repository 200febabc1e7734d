"""Mean teacher: unlabelled target images, labelled in weak view by the averaged detector, learnt in strong view by the other.

The teacher is the exponential moving average that every run keeps, evaluates and saves. Sources: Mean Teacher (Tarvainen and
Valpola, NeurIPS 2017); Unbiased Teacher (Liu et al., ICLR 2021) for burn-in, weak and strong view; Efficient Teacher (Xu et
al., 2023) for reliable and uncertain labels of one-stage detectors; 2PCNet (Kennerley et al., CVPR 2023) for the night.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Batch, Detector, Method, Run, Step, Term, View
from methods.mean_teacher.checking import LabelCheck
from methods.mean_teacher.pseudo_labels import Detections, PseudoLabels, covered, decode, pseudo_labels, suppress
from methods.mean_teacher.thresholds import ClassThresholds, confidences, summed
from methods.mean_teacher.views import night_light, other_colours, ramp, scale_of, shrunk
from methods.options.mean_teacher import MEAN_TEACHER_COMMANDS, MEAN_TEACHER_KEYS, MeanTeacherOptions
from methods.weather.draws import SeverityLaw, apply, draw
from methods.weather.mix import Mix, parse_mix
from utils.devices import sent
from utils.errors import UserError
from utils.log import LOGGER

TARGET = View(
    "target",
    "unpaired",
    "Name a folder of unlabelled images of the target ('target: images/night'), for instance from 'python prepare.py frames'",
)
STREAM = 13  # of random numbers of the student's weather
MILD = SeverityLaw((0.0, 0.6))
PER_CLASS = 12  # classes up to which each has a column of results.csv
ENOUGH, ONE_CLASS = 50, 0.98  # labels of an epoch, and the fraction of them that one class may have


class PseudoLabelAssigner(nn.Module):
    """An assigner in place of `base` that knows what pseudo-labels are worth.

    Class targets are multiplied by the confidence of their label. The box loss is weighted by these targets, so that an
    uncertain label teaches its box as little as its class. Where something may or may not be, and no label is, the target is the
    student's own score: nothing is learnt there, as in Efficient Teacher (Xu et al., 2023).
    """

    def __init__(self, method: MeanTeacher, base: Any) -> None:
        super().__init__()
        self.method, self.base = [method], base
        self.usual: Tensor = torch.zeros(())

    def forward(self, own: Tensor, boxes: Tensor, points: Tensor, *args: Any, **more: Any) -> Any:
        """Ultralytics' arguments and results. own: (B, A, C) the student's scores. points: (A, 2) px.

        Results: labels, boxes, scores (B, A, C), foreground (B, A), objects (B, A).
        """
        labels, found, scores, foreground, objects = self.base(own, boxes, points, *args, **more)
        pseudo, method = self.method[0].pseudo, self.method[0]
        if pseudo is None:
            self.usual = scores.sum()
        else:
            if scores.shape[1]:
                weight = pseudo.confidence.gather(1, objects.long().clamp(0, pseudo.confidence.shape[1] - 1))  # (B, A)
                scores = scores * weight[..., None].to(scores.dtype)
            learnt = scores.sum()
            unsure = covered(points, pseudo.unsure * method.sides) & ~foreground.bool()  # (B, A)
            scores = torch.where(unsure[..., None], own.to(scores.dtype), scores)
            method.sums.append(torch.stack([scores.sum(), learnt, self.usual.to(learnt)]).float())
        return labels, found, scores, foreground, objects

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of an assigner, the base answers."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base"), name)


class MeanTeacher(Method):
    """The method `mean-teacher`: the view `target`, pseudo-labels, and their loss beside that of the labelled images."""

    name = "mean-teacher"
    Options = MeanTeacherOptions
    views = (TARGET,)
    keys = MEAN_TEACHER_KEYS
    commands = MEAN_TEACHER_COMMANDS
    freezes = False
    counts: Tensor
    seen: Tensor

    def __init__(self, options: MeanTeacherOptions | None = None) -> None:
        super().__init__(options)
        self.low, self.high = threshold_range(self.options.target_threshold)
        given = self.options.target_weather.strip().lower()
        self.mix: Mix = parse_mix(given, "--target-weather") if given not in ("", "none") else ()
        self.teacher: list[Any] = []  # no submodule: it is the run's
        self.pseudo: PseudoLabels | None = None  # what the criterion sees now
        self.sides = torch.zeros(4)  # width, height, width, height, px, of the student's view
        # Sums of target scores, (3,) per branch: with unsure places, of labels, of labelled images.
        self.sums: list[Tensor] = []
        self.weight, self.scale = 0.0, 1.0
        self.names: dict[int, str] = {}
        self.check_on: LabelCheck | None = None
        self.told: set[str] = set()

    def resolve_options(self, epochs: int, data: Any = None) -> dict[str, Any]:
        """Remember where the target images are; nothing is resolved."""
        self.check_on = None if data is None else LabelCheck(data)
        return {}

    def check(self, labels: Sequence[Any], names: Mapping[int, str], extra: Sequence[Any] = ()) -> None:
        """Raise UserError where a labelled training image is a target image too."""
        self.names = dict(names)
        if self.check_on is not None:
            self.check_on.refuse({Path(label.image).resolve() for label in (*labels, *extra)})

    def attach(self, detector: Detector) -> None:
        """Counts by class, on the device of the run."""
        classes = len(detector.names)
        self.names = self.names or dict(detector.names)
        self.thresholds = ClassThresholds(classes, self.low, self.high)
        self.register_buffer("counts", torch.zeros(classes))  # labels of the epoch, over all ranks
        self.register_buffer("seen", torch.zeros(()))  # target images of the epoch

    def notes(self, detector: Detector) -> list[str]:
        """How it trains, and what is known of the target images."""
        lines = [
            f"mean-teacher: the averaged detector labels target images after {self.options.target_burn_in:.0%} of the epochs"
        ]
        return lines + (self.check_on.notes() if self.check_on is not None else [])

    def criterion(self, branch: Any) -> None:
        """Let pseudo-labels count by their confidence, whichever assigner there is."""
        branch.assigner = PseudoLabelAssigner(self, branch.assigner)

    def terms(self) -> dict[str, Term]:
        """The term is the task loss of other images."""
        return {"target": Term("target_weight", task=True)}

    def on_epoch(self, run: Run) -> None:
        """The weight and the student's scale of this epoch; what the last one labelled; how good the labels are."""
        if run.averaged is None or run.averaged is run.detector:
            raise UserError("--ema false: --method mean-teacher labels with the averaged detector. Leave --ema on.")
        self.teacher = [run.averaged]
        first, options = round(self.options.target_burn_in * run.epochs), self.options
        progress = (run.epoch - first) / max(run.epochs - first, 1)
        rising = max(options.target_ramp * run.epochs, 1)
        self.weight = options.target_weight * ramp((run.epoch - first + 1) / rising) if run.epoch >= first else 0.0
        self.scale = scale_of(max(progress, 0.0), options.target_scale)
        if run.resumed:  # the labels counted so far are of this epoch, and the teacher was checked when it began
            return
        if problem := self._review():
            raise UserError(problem)
        if self.weight and self.check_on is not None:
            run.log.update(found := self.check_on(run.averaged, self.thresholds, run.single_cls))
            if found and not distributed_rank():
                LOGGER.info("  ".join(f"{name} {value:.3f}" for name, value in found.items()))

    def detach(self, detector: Detector) -> None:
        """Say what is wrong with the labels of the last epoch, too late to stop the run."""
        if problem := self._review():
            LOGGER.warning(f"note: {problem}")

    def _review(self) -> str:
        """What makes the labels of the epoch that ended worthless, if anything; mentions once that there are none."""
        counts, seen = self.counts.tolist(), float(self.seen)
        self.counts.zero_()
        self.seen.zero_()
        if seen and not sum(counts) and "nothing" not in self.told:
            self.told.add("nothing")
            LOGGER.warning(
                f"note: the teacher labelled nothing in {seen:.0f} target images: none of its detections reaches "
                f"{self.low:g}. Lower --target-threshold, or train longer before it labels (--target-burn-in)."
            )
        return self._collapse(counts)

    def _collapse(self, counts: list[float]) -> str:
        """What to say where nearly all labels are of one class which is not that frequent among the labelled objects."""
        total, most = sum(counts), max(range(len(counts)), key=counts.__getitem__)
        expected = self.thresholds.objects.tolist()
        usual = expected[most] / max(sum(expected), 1e-9)
        if len(counts) < 2 or total < ENOUGH or counts[most] <= ONE_CLASS * total or usual > ONE_CLASS - 0.1:
            return ""
        return (
            f"--method mean-teacher: {counts[most] / total:.0%} of the {total:.0f} pseudo-labels of the last epoch are "
            f"'{self.names.get(most, most)}', which is {usual:.0%} of the labelled objects: the teacher collapses. Start "
            "again from weights that know the classes, with a longer --target-burn-in, a higher --target-threshold or a "
            "lower --target-weight."
        )

    def degrade(self, batch: Batch) -> None:
        """Night-like light on some of the labelled images, the same for all views of a scene."""
        if self.check_on is not None:
            self.check_on.side = max(batch["img"].shape[2:])
        if not self.options.night_light:
            return
        batch.setdefault("clean", batch["img"])
        for name in batch["scenes"]:
            batch[name] = night_light(batch[name], batch["seed"], self.options.night_light)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """`target`: the detection loss of the strong view with the teacher's labels, once the burn-in is over."""
        if not self.weight:
            return {}
        weak = step.batch["target"]
        labels, self.pseudo = self._label(weak, step.batch["cls"])
        strong = shrunk(self._strong(weak, step.batch["seed"]), self.scale)
        self.sides = sent(torch.tensor([strong.shape[3], strong.shape[2]] * 2, dtype=weak.dtype), weak.device)
        step.log.update(self._per_image(self.pseudo.confidence, labels["cls"]))
        try:
            found = step.forward(strong, labels)
            factor = self._factor()
        finally:
            self.pseudo, self.sums = None, []
        items = torch.stack(list(found.items.values())) if found.items else torch.zeros(1, device=weak.device)
        step.log["target"] = items.sum() * factor
        return {"target": self.weight * factor * found.loss}

    def _factor(self) -> Tensor:
        """Brings the loss, which was divided by the scores of few labels, to the scale of the labelled images' loss.

        Divided by two labels in sixteen images, the background would count many times what it does beside their objects.
        """
        divided, learnt, usual = summed(torch.stack(self.sums).sum(0)).clamp(min=1)
        return divided / torch.maximum(learnt, usual)

    def _strong(self, weak: Tensor, seeds: Sequence[int]) -> Tensor:
        """The student's view at full size."""
        draws = [draw(seed, self.mix, MILD, STREAM) for seed in seeds] if self.mix else [()] * len(weak)
        return other_colours(apply(weak, draws), seeds)

    @torch.no_grad()
    def _label(self, weak: Tensor, classes: Tensor) -> tuple[dict[str, Any], PseudoLabels]:
        """The teacher's labels of a weak view, and what they are worth. classes: of the labelled images' objects."""
        found = suppress(decode(self.teacher[0](weak)))
        self.thresholds.update(found.scores, found.classes, classes.view(-1).long())
        confidence = self.weigh(found)
        self._count(found, confidence)
        return pseudo_labels(found, confidence, (weak.shape[2], weak.shape[3]))

    def weigh(self, found: Detections) -> Tensor:
        """What each detection counts, (B, K)."""
        possible = self.thresholds(1.0)
        reliable = torch.maximum(possible, self.thresholds(self.options.target_reliable))
        return confidences(found.scores, found.classes, possible, reliable)

    def _per_image(self, confidence: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Columns of results.csv: pseudo-labels per image, and of each class where they are few."""
        used = confidence > 0  # (B, K)
        row = {"pseudo_labels": used.sum() / len(used)}
        if len(self.names) <= PER_CLASS:
            own = classes.view_as(used)
            row |= {
                f"pseudo_labels/{name}": (used & (own == number)).sum() / len(used)
                for number, name in self.names.items()
            }
        return row

    def _count(self, found: Detections, confidence: Tensor) -> None:
        """Add the labels of this batch to those of the epoch, over all ranks."""
        counts = torch.zeros_like(self.counts).index_add_(
            0, found.classes.flatten(), (confidence > 0).float().flatten()
        )
        both = summed(torch.cat([counts, counts.new_full((1,), len(confidence))]))
        self.counts += both[:-1]
        self.seen += both[-1]


def distributed_rank() -> int:
    """The number of this process among those that train together, 0 where it is alone."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_rank() if together else 0


def threshold_range(text: str) -> tuple[float, float]:
    """Ends of the range of thresholds: `0.25-0.6`, or one number. Raises UserError for another text.

    >>> threshold_range("0.5")
    (0.5, 0.5)
    """
    parts = text.split("-")
    try:
        low, high = float(parts[0]), float(parts[-1])
    except ValueError:
        low, high = 1.0, 0.0
    if len(parts) > 2 or not 0 < low <= high < 1:
        raise UserError(
            f"--target-threshold {text}: expected a range between 0 and 1, such as 0.25-0.6, or one number."
        )
    return low, high
