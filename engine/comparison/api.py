"""`engine.compare`, behind compare.py: train runs over seeds with an equal budget, and report whether they differ.

With --checkpoint finished files are compared instead, without training.

Every (run, seed) is trained in its own folder, one after another, and measured on splits that nothing was chosen by.
Its row is written at once, so that the same command resumes an interrupted comparison. A failing run does not stop the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import engine
from data.config import DataConfig, load_data, task_of
from data.synthetic.generate import make_synthetic
from engine.comparison.auto import lines_of, plan_runs, words_of
from engine.comparison.checkpoints import check_alone, check_task, evaluate_checkpoints, facts_of, named_checkpoints
from engine.comparison.config import Step, make_all, read_config, refuse_unsafe
from engine.comparison.estimate import estimate, in_words
from engine.comparison.evaluating import DetectorEvaluation, Evaluate, evaluator_of
from engine.comparison.report import METRICS, Comparison, RunOutcome, save_report
from engine.comparison.report_page import Pair, save_page
from engine.comparison.runner import (
    RUNTIME_OPTIONS,
    ComparisonRunner,
    RunSpec,
    Train,
    plain_options,
)
from engine.diagnosis.report import printable
from engine.evaluation.class_frequency import lvis_labels
from engine.evaluation.session import present_splits
from engine.evaluation.subsets import asked_for, check_names
from engine.loggers import create_loggers, log_tables
from engine.options.compare import COMPARE_SCHEMAS, CompareOptions
from engine.options.train import TRAIN_SCHEMAS, TrainOptions
from engine.tasks import DETECT, TASKS
from methods.registry import split_names
from utils.cli import check_official
from utils.errors import UserError
from utils.files import load_yaml, new_run_folder, save_yaml, typed_path
from utils.metrics import FREQUENCIES, PROTOCOLS
from utils.options import build, canonical, from_file, parse_argv
from utils.tables import whole

SHARED_ONLY = ("resume", "seed", "project", "name", "exist_ok", "data")  # options that no run may have of its own


@dataclass(frozen=True)
class CompareResult:
    """Mean and spread of each run, intervals of the differences, and where the files are."""

    save_dir: Path
    summary: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    outcomes: list[RunOutcome] = field(default_factory=list)


def compare(*, train: Train | None = None, evaluate: Evaluate | None = None, **options: Any) -> CompareResult:
    """Compare runs: `engine.compare(data="demo-night", run=("none", "wiid"), seeds=3, epochs=30)`, or finished files:
    `engine.compare(data="demo-night", checkpoint=("plain=a.pt", "mine=b.pt"))`.

    The options are those of compare.py; each one of train.py's goes to all runs. `config=FILE` reads them from a YAML
    file and makes what it lists under `prepare`; options given beside it win. `train` and `evaluate` stand in for
    `engine.train` and the evaluation of a checkpoint. With `auto` the runs follow from what is found in the data set; with
    `dry_run` they are printed only, and the result is empty. Raises UserError for mistakes in the options, and where every
    run failed.
    """
    options, steps = _with_config(options)
    (chosen, *_) = build(COMPARE_SCHEMAS, options)
    if chosen.auto or chosen.dry_run:
        options, steps, goes_on = announced(options, steps)
        if not goes_on:
            return CompareResult(chosen.project, [], [])
    return _compare(options, steps, train, evaluate)


def announced(options: dict[str, Any], steps: dict[str, Step]) -> tuple[dict[str, Any], dict[str, Step], bool]:
    """Print the runs and how long they take; with --auto find them first.

    Returns the options and steps with these runs, and whether to train them. Raises UserError for runs beside --auto, and
    as `compare`.
    """
    chosen, train, *_ = build(COMPARE_SCHEMAS, options)
    if chosen.checkpoint:
        check_alone(options)
    if chosen.auto and chosen.run:
        raise UserError("--auto: finds the runs itself. Leave out --run and the runs of --config, or leave out --auto.")
    shared = {
        key: value for key, value in options.items() if key not in {entry.name for entry in fields(CompareOptions)}
    }
    given = {key: value for key, value in options.items() if key not in ("auto", "dry_run", "data", "imgsz", "run")}
    config = load_data(train.data, make_demo=make_synthetic, need=("train",))
    _check_parts(chosen.by, config)
    plan = plan_runs(str(train.data), chosen.project, shared) if chosen.auto else None
    if plan is not None:
        found = {"run": tuple(candidate.run for candidate in plan.runs), "imgsz": plan.imgsz}
        options, steps = {**options, **found, "data": plan.data}, {**steps, **plan.steps}
        shared["imgsz"] = plan.imgsz
    specs = [parse_run(text) for text in options.get("run", ())]
    _check_runs(specs, shared)
    goes_on = len(specs) > 1 or plan is None
    duration = _duration(config, specs, shared, chosen) if goes_on else ""
    lines = lines_of(plan, words_of(given), duration) if plan else [*(f"  {spec.label}" for spec in specs), duration]
    print("\n".join(map(printable, lines)))
    return options, steps, goes_on and not chosen.dry_run


def _duration(config: DataConfig, specs: list[RunSpec], shared: Mapping[str, Any], chosen: CompareOptions) -> str:
    """How long the runs take here, in words."""
    if config.task != DETECT:
        return f"not estimated: only detectors are timed, and the task is {config.task}"
    seconds = estimate(config, specs, shared, chosen.seeds, chosen.split)
    return f"about {in_words(seconds)} here for {chosen.seeds} seeds, by steps on random images, loading not counted"


def _compare(
    options: dict[str, Any], steps: dict[str, Step], train: Train | None, evaluate: Evaluate | None
) -> CompareResult:
    """Make what must be there, train or take the checkpoints, and report."""
    chosen, *_ = build(COMPARE_SCHEMAS, options)
    own_names = {entry.name for entry in fields(CompareOptions)}
    shared = {key: value for key, value in options.items() if key not in own_names}
    files = named_checkpoints(chosen.checkpoint)
    specs = [] if files else [parse_run(text) for text in chosen.run]
    seeds = range(shared.get("seed", 0), shared.get("seed", 0) + chosen.seeds)
    check_alone(options) if files else _check_runs(specs, shared)
    logger = _loggers(shared)
    make_all(steps, seeds)
    data = str(shared.pop("data", TrainOptions().data))
    task = task_of(data)
    if files:
        check_task(options, task, files, data)
    evaluate = evaluate or evaluator_of(task, data, chosen.split, chosen.by, chosen.report and bool(files))
    standard = TASKS[task].metrics if task in TASKS else METRICS
    metrics = chosen.metric if "metric" in options else standard[:1]
    _check_metrics(metrics, standard, shared.get("protocol"))
    config = load_data(data, make_demo=make_synthetic)
    _check_parts(chosen.by, config)
    conditions = [config.conditions.get(split, split) for split in present_splits(config, chosen.split)]
    if files:
        outcomes = evaluate_checkpoints(files, evaluate, shared)
        save_dir = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    else:
        runner = _runner(chosen, config, shared, train, evaluate)
        save_dir, outcomes = runner.save_dir, runner.run_all(specs, seeds, chosen.restart)
        _check_outcomes(outcomes, save_dir)
    labels, groups = list(files) or [spec.label for spec in specs], class_groups(config, shared.get("protocol"))
    comparison = Comparison(
        labels, conditions, outcomes, metrics, chosen.resamples, groups, standard, trained=not files
    )
    facts = _facts(chosen, data, shared, specs, files)
    summary, differences = save_report(comparison, save_dir, chosen.out, config.file.stem, facts)
    if chosen.report:
        save_page(comparison, facts, _kept(evaluate, files), save_dir)
    if logger:
        log_tables(logger, save_dir, uuid.uuid4().hex[:12], {"summary": summary, "differences": differences})
    return CompareResult(save_dir, summary, differences, outcomes)


def _loggers(shared: Mapping[str, Any]) -> Sequence[str]:
    """The names of --logger, checked."""
    logger: Sequence[str] = build(TRAIN_SCHEMAS[:1], {"logger": shared.get("logger", ())})[0].logger
    create_loggers(logger)
    return logger


def _kept(evaluate: Evaluate, files: Mapping[str, Path]) -> Pair | None:
    """The detections of the first two checkpoints, for the images of the report."""
    if not isinstance(evaluate, DetectorEvaluation) or len(files) < 2:
        return None
    first, second = list(files)[:2]
    return Pair((first, second), (evaluate.kept[files[first]], evaluate.kept[files[second]]), evaluate.names)


def _runner(
    chosen: CompareOptions, config: DataConfig, shared: dict[str, Any], train: Train | None, evaluate: Evaluate
) -> ComparisonRunner:
    """What trains and evaluates the runs, in the folder of this comparison."""
    same = {key: value for key, value in shared.items() if key not in RUNTIME_OPTIONS}
    save_dir = choose_folder(chosen, {"data": str(config.file), "split": chosen.split, "shared": plain_options(same)})
    return ComparisonRunner(config, save_dir, shared, train or engine.train, evaluate, chosen.by)


def _check_outcomes(outcomes: Sequence[RunOutcome], save_dir: Path) -> None:
    """Raise UserError where every run failed."""
    if all(outcome.error for outcome in outcomes):
        raise UserError(f"every run failed; the first error: {outcomes[0].error} The runs are in {save_dir}.")


def protocol_metrics(protocol: str | None) -> list[str]:
    """The metrics that a protocol adds to a report.

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
    letters = lvis_labels(config).frequency
    by_letter = {f"AP{group}": [n for n, letter in enumerate(letters) if letter == group] for group in FREQUENCIES}
    return {"AP": None, "AP50": None, **by_letter}


def _with_config(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Step]]:
    """The options under their own names with those of the `config` file below them, and the file's steps."""
    options = canonical(options, COMPARE_SCHEMAS)
    file = options.pop("config", None)
    if file is None:
        return options, {}
    written, steps = read_config(file)
    try:
        written = canonical(written, COMPARE_SCHEMAS)
        for asked in (written, *(_own_options(text) for text in written.get("run", ()))):
            refuse_unsafe(asked)
        return {**written, **options}, steps
    except UserError as problem:
        raise UserError(f"{file}: {problem}") from None


def parse_run(text: str) -> RunSpec:
    """`wiid byol_weight=0`, or `BYOL off: wiid byol_weight=0` -> name, methods and options of its own.

    Raises UserError for what train.py refuses.
    """
    name, _, line = text.rpartition(": ")
    own = _own_options(text)
    refused = next((key for key in own if key in SHARED_ONLY), None)
    if refused is not None:
        raise UserError(f"--run {text!r}: {refused} is the same for every run. Give it to compare.py itself.")
    split_names(own.get("method", ""))
    return RunSpec(" ".join((name or line).split()), own, named=bool(name))


def _own_options(text: str) -> dict[str, Any]:
    """The options that the text of a run holds; methods are not looked up yet. Raises UserError as `parse_run`."""
    words = text.rpartition(": ")[2].split()
    if not words:
        raise UserError("--run: expected methods (or none) and options, such as 'none epochs=30'.")
    own = {} if "=" in words[0] or words[0].startswith("--") else {"method": words.pop(0)}
    return own | parse_argv(words, TRAIN_SCHEMAS, "--run", text)


def _check_runs(specs: list[RunSpec], shared: Mapping[str, Any]) -> None:
    """Every mistake in the runs, before hours are spent."""
    if not specs:
        raise UserError('--run: name at least one run, such as --run none --run METHOD --run "METHOD lr0=0.001".')
    labels = [spec.label for spec in specs]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise UserError(f"--run {twice!r} is given twice. To see the spread of one run, raise --seeds.")
    if shared.get("resume"):
        raise UserError("--resume: a comparison resumes by itself; give the same command again.")
    for spec in specs:
        options = {**shared, **spec.own}
        build(TRAIN_SCHEMAS, options)
        check_official(options)


def _check_metrics(metrics: Sequence[str], standard: Sequence[str], protocol: str | None) -> None:
    """Raise UserError for a metric that no report will have."""
    known = [*standard, *protocol_metrics(protocol)]
    wrong = next((name for name in metrics if name not in known), None)
    if wrong is not None:
        hint = "" if protocol or standard != METRICS else " Others need --protocol coco, aitod or lvis."
        raise UserError(f"--metric {wrong}: expected {', '.join(known)}.{hint}")


def _check_parts(by: str | None, config: DataConfig) -> None:
    """Raise UserError for a --by that names no part of these images."""
    if by is not None:
        check_names(asked_for(by), config)


def choose_folder(chosen: CompareOptions, facts: dict[str, Any]) -> Path:
    """The newest folder of the same comparison, to resume, else a new one. Runs and seeds may be added later."""
    first, size = typed_path(chosen.project / chosen.name), len(chosen.name)
    others = chosen.project.iterdir() if chosen.project.is_dir() else ()
    numbers = [(whole(path.name[size:]), path) for path in others if path.name.startswith(chosen.name)]
    here = [first, *(path for _, path in sorted((number, path) for number, path in numbers if number is not None))]
    same = [path for path in here if _saved_facts(path / "compare.yaml") == facts]
    if same and not chosen.restart:
        return same[-1]
    folder = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    save_yaml(folder / "compare.yaml", facts)
    return folder


def _saved_facts(file: Path) -> dict[str, Any]:
    """What a comparison began with, its options by their present names; empty where there is no file."""
    saved = load_yaml(file) if file.is_file() else {}
    shared = saved.get("shared")  # lacking in a file of something else
    return {**saved, "shared": from_file(shared, COMPARE_SCHEMAS)} if isinstance(shared, dict) else {}


def _facts(
    chosen: CompareOptions, data: str, shared: Mapping[str, Any], specs: Sequence[RunSpec], files: Mapping[str, Path]
) -> dict[str, Any]:
    """What a reader of the table must know. Options that every run sets itself stand in the runs' names."""
    if files:
        asked = {key: value for key, value in plain_options(shared).items() if key not in RUNTIME_OPTIONS}
        said = ", ".join(f"{key}={value}" for key, value in asked.items()) or "the defaults of val.py"
        return {"data": data, "split": chosen.split, "evaluation": said, **facts_of(files)}
    common = {key: value for key, value in plain_options(shared).items() if not all(key in spec.own for spec in specs)}
    budget = ", ".join(f"{key}={value}" for key, value in common.items()) or "the defaults of train.py"
    named = {f"run {spec.label}": plain_options(spec.own) for spec in specs if spec.named}
    runs = {name: ", ".join(f"{key}={value}" for key, value in own.items()) for name, own in named.items()}
    return {"data": data, "split": chosen.split, "options of every run": budget, **runs}
