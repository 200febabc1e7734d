"""Tasks classify and action behind val.py and compare.py: what engine/tasks.py names, and what is particular to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from data.classification.dataset import build_image_folders
from data.config import DataConfig, load_data
from data.synthetic.generate import make_synthetic
from engine.checkpoint.classifier import IMAGES, LoadedClassifier, load_classifier
from engine.classification.evaluation import evaluate_classifier, table
from engine.enhancement.enhancer import enhancer_of
from engine.evaluation.api import ValResult
from engine.evaluation.session import check_names, present_splits, weights_of
from engine.options.val import ValOptions
from engine.results import Report
from engine.tasks import check_meaning
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import empty_goes, new_run_folder
from utils.log import LOGGER
from utils.options import build, canonical
from utils.tables import save_csv, text_table

SPLITS = ("train", "val", "test")  # of val.py's --task


@dataclass(frozen=True)
class ClassifierTask:
    """A task whose models name what they see: `validate` and `evaluate` are what engine/tasks.py asks of it.

    dataset: (config, split, classifier) to what it is evaluated on. described: what val.py's last line says of a classifier.
    """

    task: str
    dataset: Callable[[DataConfig, str, LoadedClassifier], Any]
    described: Callable[[LoadedClassifier], str]

    def validate(self, **options: Any) -> ValResult:
        """Measure a network with the options of val.py: prints tables, writes metrics.csv and confusion matrices.

        It sees what it was trained with: images of that size, unless --imgsz is given, or clips. Raises UserError.
        """
        given = canonical(options, [ValOptions])
        check_meaning(given, [ValOptions], self.task)
        (chosen,) = build([ValOptions], given)
        if chosen.task not in SPLITS:
            choices = ", ".join(SPLITS)
            raise UserError(f"--task {chosen.task}: does not apply to task {self.task}. Choose one of {choices}.")
        file = weights_of(chosen)
        config = load_data(chosen.data, make_demo=make_synthetic)
        splits = present_splits(config, chosen.task)
        device = pick_device(chosen.device)
        classifier = load_classifier(file, self.task, device, chosen.trust)
        if "imgsz" in given:
            classifier = replace(classifier, shape=replace(classifier.shape, size=chosen.imgsz))
        check_names(classifier.names, classifier.classes, config, file)
        enhancer = enhancer_of(chosen, device)
        save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
        with empty_goes(save_dir):
            reports = self._measure(
                classifier, config, splits, device, save_dir if chosen.plots else None, batch_size=chosen.batch_size,
                half=chosen.half, workers=chosen.workers or 0, enhance=enhancer,
            )  # fmt: skip
        rows = table(reports)
        save_csv(save_dir / "metrics.csv", rows)
        print(text_table([row for row in rows if chosen.verbose or row["class"] == "all"]))
        seen = self.described(classifier) + (f", enhanced by {enhancer.name}" if enhancer else "")
        LOGGER.info(f"{seen}; every class is in metrics.csv; results in {save_dir}")
        return ValResult(reports, save_dir, rows)

    def evaluate(self, weights: Path, data: str, task: str, device: str = "") -> list[Report]:
        """One report per split, for compare.py. task: `test` takes test and test2, `val` takes val and val2."""
        config, place = load_data(data, make_demo=make_synthetic), pick_device(device)
        classifier = load_classifier(weights, self.task, place)
        check_names(classifier.names, classifier.classes, config, weights)
        return self._measure(classifier, config, present_splits(config, task), place)

    def _measure(
        self, classifier: LoadedClassifier, config: DataConfig, splits: Sequence[str], device: torch.device,
        plots_to: Path | None = None, *, batch_size: int = 32, **how: Any,
    ) -> list[Report]:  # fmt: skip
        """One report per split of the data; with `plots_to`, confusion matrices go into a folder per split in it."""
        reports = []
        for split in splits:
            condition = config.conditions.get(split, split)
            dataset = self.dataset(config, split, classifier)
            folder = plots_to / (condition if condition == split else f"{split}-{condition}") if plots_to else None
            reports.append(evaluate_classifier(
                classifier.model, dataset, config.names, batch_size=batch_size, device=device, split=split,
                condition=condition, confusion_to=folder, shown=True, **how,
            ))  # fmt: skip
            for path, reason in dataset.left_out():
                LOGGER.info(f"note: skipped {path}: {reason}")
        return reports


CLASSIFY = ClassifierTask(
    IMAGES,
    dataset=lambda config, split, classifier: build_image_folders(config, split, classifier.shape.size),
    described=lambda classifier: f"{classifier.name} at {classifier.shape.size} px",
)
validate, evaluate = CLASSIFY.validate, CLASSIFY.evaluate
