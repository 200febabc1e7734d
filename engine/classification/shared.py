"""What classifying images and classifying clips share behind train.py, val.py and compare.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from data.config import DataConfig, load_data
from data.synthetic.generate import make_synthetic
from engine.checkpoint.classifier import Recogniser
from engine.classification.evaluation import table
from engine.enhancement.enhancer import enhancer_of
from engine.evaluation.api import ValResult
from engine.evaluation.session import present_splits
from engine.options.val import ValOptions
from engine.results import Report
from engine.tasks import check_meaning
from utils.devices import pick_device
from utils.errors import UserError
from utils.files import empty_goes, find_weights, new_run_folder
from utils.options import build, canonical
from utils.tables import save_csv, text_table

SPLITS = ("train", "val", "test")  # of val.py's --task
Network = TypeVar("Network", bound=Recogniser)


@dataclass(frozen=True)
class Recognition(Generic[Network]):
    """A task that names what is seen: `validate` and `examine` are what engine/tasks.py asks of it.

    load: (path, device, trust) to a network. dataset: (config, split, network) to what it is evaluated on. evaluate: (network,
    dataset, names) and the keyword arguments of `evaluate_classifier` to a report. described: what val.py's last line says
    of a network. resized: what --imgsz does to it.
    """

    task: str
    load: Callable[[Path, torch.device, bool], Network]
    dataset: Callable[[DataConfig, str, Network], Any]
    evaluate: Callable[..., Report]
    described: Callable[[Network], str]
    resized: Callable[[Network, int], Network] = lambda network, imgsz: network

    def validate(self, **options: Any) -> ValResult:
        """Measure a network with the options of val.py: prints tables, writes metrics.csv and confusion matrices.

        It sees what it was trained with: images of that size, unless --imgsz is given, or clips. Raises UserError.
        """
        given = canonical(options, [ValOptions])
        chosen, weights = self._understood(given)
        config = load_data(chosen.data, make_demo=make_synthetic)
        splits = present_splits(config, chosen.task)
        device = pick_device(chosen.device)
        file = find_weights(weights)
        network = self.load(file, device, chosen.trust)
        if "imgsz" in given:
            network = self.resized(network, chosen.imgsz)
        check_names(network, config, file)
        enhancer = enhancer_of(chosen, device)
        save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
        with empty_goes(save_dir):
            reports = self._measure(
                network, config, splits, device, save_dir if chosen.plots else None, batch_size=chosen.batch_size,
                half=chosen.half, workers=chosen.workers or 0, enhance=enhancer,
            )  # fmt: skip
        rows = table(reports)
        save_csv(save_dir / "metrics.csv", rows)
        print(text_table([row for row in rows if chosen.verbose or row["class"] == "all"]))
        seen = self.described(network) + (f", enhanced by {enhancer.name}" if enhancer else "")
        print(f"{seen}; every class is in metrics.csv; results in {save_dir}")
        return ValResult(reports, save_dir, rows)

    def _understood(self, given: Mapping[str, Any]) -> tuple[ValOptions, Path]:
        """The options of val.py and the weights. Raises UserError without these, and for what means nothing here."""
        check_meaning(given, [ValOptions], self.task)
        (chosen,) = build([ValOptions], given)
        if chosen.task not in SPLITS:
            choices = ", ".join(SPLITS)
            raise UserError(f"--task {chosen.task}: means nothing for task {self.task}. Choose one of {choices}.")
        if chosen.weights is None:
            raise UserError(
                "--weights: name the classifier to measure, such as runs/train/exp/weights/best.safetensors."
            )
        return chosen, chosen.weights

    def examine(self, weights: Path, data: str, task: str, device: str = "") -> list[Report]:
        """One report per split, for compare.py. task: `test` takes test and test2, `val` takes val and val2."""
        config, place = load_data(data, make_demo=make_synthetic), pick_device(device)
        network = self.load(weights, place, False)
        check_names(network, config, weights)
        return self._measure(network, config, present_splits(config, task), place)

    def _measure(
        self, network: Network, config: DataConfig, splits: Sequence[str], device: torch.device,
        plots_to: Path | None = None, *, batch_size: int = 32, **how: Any,
    ) -> list[Report]:  # fmt: skip
        """One report per split of the data; with `plots_to`, confusion matrices go into a folder per split in it."""
        reports = []
        for split in splits:
            condition = config.conditions.get(split, split)
            dataset = self.dataset(config, split, network)
            for path, reason in dataset.skipped:
                print(f"note: left out {path}: {reason}")
            folder = plots_to / (condition if condition == split else f"{split}-{condition}") if plots_to else None
            reports.append(
                self.evaluate(
                    network, dataset, config.names, batch_size=batch_size, device=device, split=split,
                    condition=condition, confusion_to=folder, shown=True, **how,
                )
            )  # fmt: skip
        return reports


def check_names(network: Recogniser, config: DataConfig, weights: Path) -> None:
    """UserError where data and network differ in the number of classes; a note where only names differ."""
    if network.classes != len(config.names):
        raise UserError(
            f"{weights}: tells {network.classes} classes apart, but {config.file} has {len(config.names)}. Use the data YAML "
            "that the classifier was trained with."
        )
    names = network.names or config.names
    other = [f"{number}: {names[number]} / {name}" for number, name in config.names.items() if names[number] != name]
    if other:
        print(f"note: classes are matched by number, but names differ (weights / data): {', '.join(other[:5])}")
