"""`engine.compare`, behind compare.py: train runs over seeds with an equal budget, and say whether they differ.

Every (run, seed) is trained in its own folder, one after another, and measured on splits that nothing was chosen by.
Its row is written at once, so the same command goes on where it was stopped. One failing run does not lose the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from data.config import DataConfig, load_data, task_of
from data.synthetic.generate import make_synthetic
from engine.comparison.report import METRICS, Outcome, Study, save_study
from engine.comparison.runner import (
    WHEREABOUTS,
    Bench,
    Examiner,
    RunSpec,
    Trainer,
    examiner_of,
    plain_options,
    train_as_usual,
)
from engine.evaluation.class_frequency import long_tail_of
from engine.evaluation.session import present_splits
from engine.options.compare import COMPARE_SCHEMAS, CompareOptions
from engine.options.train import TRAIN_SCHEMAS, TrainOptions
from engine.tasks import TASKS
from methods.registry import split_names
from utils.errors import UserError
from utils.files import load_yaml, new_run_folder, save_yaml
from utils.metrics import FREQUENCIES, PROTOCOLS
from utils.options import build, canonical, parse_argv

RESERVED = ("resume", "seed", "project", "name", "exist_ok", "data")  # decided here, for every run


@dataclass(frozen=True)
class CompareResult:
    """Mean and spread of each run, intervals of the differences, and where the files are."""

    save_dir: Path
    summary: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    outcomes: list[Outcome] = field(default_factory=list)


def compare(*, trainer: Trainer | None = None, examiner: Examiner | None = None, **options: Any) -> CompareResult:
    """Compare runs: `engine.compare(data="demo-night", run=("none", "wiid"), seeds=3, epochs=30)`.

    The options are those of compare.py; each one of train.py's goes to all runs. `trainer` and `examiner` stand in for
    `engine.train` and the measurement of a checkpoint. Raises UserError for what the user can mend, also where every
    run failed.
    """
    chosen, *_ = build(COMPARE_SCHEMAS, options)
    shared = {key: value for key, value in canonical(options, COMPARE_SCHEMAS).items() if key not in _own_names()}
    specs = [parse_run(text) for text in chosen.run]
    data = str(shared.pop("data", TrainOptions().data))
    task = task_of(data)
    examine = examiner or examiner_of(task, data, chosen.split)
    usual = TASKS[task].metrics if task in TASKS else METRICS
    metrics = chosen.metric if "metric" in options else usual[:1]
    _check(specs, shared, metrics, usual)
    config = load_data(data, make_demo=make_synthetic)
    splits = present_splits(config, chosen.split)
    same = {key: value for key, value in shared.items() if key not in WHEREABOUTS}
    save_dir = choose_folder(chosen, {"data": str(config.file), "split": chosen.split, "shared": plain_options(same)})
    bench = Bench(config, save_dir, shared, trainer or train_as_usual, examine)
    outcomes = bench.run_all(specs, range(_first_seed(shared), _first_seed(shared) + chosen.seeds), chosen.restart)
    if all(outcome.error for outcome in outcomes):
        raise UserError(f"every run failed; the first said: {outcomes[0].error} The folder of the runs is {save_dir}.")
    conditions = [config.conditions.get(split, split) for split in splits]
    groups = class_groups(config, shared.get("protocol"))
    study = Study([spec.label for spec in specs], conditions, outcomes, metrics, chosen.resamples, groups, usual)
    summary, differences = save_study(
        study, save_dir, chosen.out, config.file.stem, _facts(chosen, data, shared, specs)
    )
    return CompareResult(save_dir, summary, differences, outcomes)


def protocol_metrics(protocol: str | None) -> list[str]:
    """The numbers that a protocol adds to a report.

    >>> protocol_metrics("lvis")
    ['AP', 'AP50', 'AP75', 'APr', 'APc', 'APf']
    """
    if protocol is None:
        return []
    rules = PROTOCOLS[protocol]
    parts = [*filter(None, rules.sizes), *(FREQUENCIES if rules.long_tail else ())]
    return ["AP", "AP50", "AP75", *(f"AP{part}" for part in parts)]


def class_groups(config: DataConfig, protocol: str | None) -> dict[str, Collection[int] | None]:
    """Metrics of a protocol that are means over classes -> the classes (None: all)."""
    if protocol != "lvis":
        return dict.fromkeys(("AP", "AP50")) if protocol else {}
    letters = long_tail_of(config).frequency
    by_letter = {f"AP{group}": [n for n, letter in enumerate(letters) if letter == group] for group in FREQUENCIES}
    return {"AP": None, "AP50": None, **by_letter}


def _own_names() -> set[str]:
    """Options of the comparison itself."""
    return {entry.name for entry in fields(CompareOptions)}


def _first_seed(shared: Mapping[str, Any]) -> int:
    """Where seeds are counted from."""
    return int(shared.get("seed", 0))


def parse_run(text: str) -> RunSpec:
    """`wiid byol_weight=0` -> methods and options of its own. Raises UserError for what train.py refuses."""
    words = text.split()
    if not words:
        raise UserError("--run: expected methods (or none) and options, such as 'wiid byol_weight=0'.")
    own = {} if "=" in words[0] or words[0].startswith("--") else {"method": words.pop(0)}
    own |= parse_argv(words, TRAIN_SCHEMAS, "--run", text)
    refused = next((key for key in own if key in RESERVED), None)
    if refused is not None:
        raise UserError(f"--run {text!r}: {refused} is the same for every run. Give it to compare.py itself.")
    split_names(own.get("method", ""))
    return RunSpec(" ".join(text.split()), own)


def _check(specs: list[RunSpec], shared: Mapping[str, Any], metrics: Sequence[str], usual: Sequence[str]) -> None:
    """Every mistake in the options, before hours are spent."""
    if len(specs) < 1:
        raise UserError('--run: name at least one run, such as --run none --run "wiid byol_weight=0" --run wiid.')
    labels = [spec.label for spec in specs]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UserError(f"--run {twice!r} is there twice. To see the spread of one run, raise --seeds.")
    if shared.get("resume"):
        raise UserError("--resume: a comparison goes on by itself; give the same command again.")
    for spec in specs:
        build(TRAIN_SCHEMAS, {**shared, **spec.own})
    protocol = shared.get("protocol")
    known = [*usual, *protocol_metrics(protocol)]
    wrong = next((name for name in metrics if name not in known), None)
    if wrong is not None:
        hint = "" if protocol or usual != METRICS else " Others need --protocol coco, aitod or lvis."
        raise UserError(f"--metric {wrong}: expected {', '.join(known)}.{hint}")


def choose_folder(chosen: CompareOptions, facts: dict[str, Any]) -> Path:
    """The newest folder of the same comparison, to resume, else a new one. Runs and seeds may be added later."""
    numbered = [path for path in chosen.project.glob(f"{chosen.name}*") if path.name[len(chosen.name) :].isdecimal()]
    here = [chosen.project / chosen.name, *sorted(numbered, key=lambda path: int(path.name[len(chosen.name) :]))]
    same = [path for path in here if (path / "compare.yaml").is_file() and load_yaml(path / "compare.yaml") == facts]
    if same and not chosen.restart:
        return same[-1]
    folder = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    save_yaml(folder / "compare.yaml", facts)
    return folder


def _facts(chosen: CompareOptions, data: str, shared: Mapping[str, Any], specs: Sequence[RunSpec]) -> dict[str, Any]:
    """What a reader of the table must know. Options that every run has of its own stand in the runs' names."""
    common = {key: value for key, value in plain_options(shared).items() if not all(key in spec.own for spec in specs)}
    budget = ", ".join(f"{key}={value}" for key, value in common.items()) or "the defaults of train.py"
    return {"data": data, "split": chosen.split, "options of every run": budget}
