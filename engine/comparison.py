"""`engine.compare`, behind compare.py: train runs over seeds with an equal budget, and say whether they differ.

Every (run, seed) is trained in its own folder, one after another, and measured on splits that nothing was chosen by.
Its row is written at once, so the same command goes on where it was stopped. One failing run does not lose the others.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from data.config import DataConfig, load_data, task_of
from data.scenes import make_world
from engine.comparison_tables import METRICS, Outcome, Study, save_study
from engine.evaluation import PictureStats, Report
from engine.long_tail import long_tail_of
from engine.options.compare import ABOUT, COMPARE_SCHEMAS, CompareOptions
from engine.options.train import TRAIN_SCHEMAS, TrainOptions
from engine.options.val import ValOptions
from engine.subject import load_subject, measure, present_splits
from engine.tasks import TASKS, entry
from methods.registry import split_names
from utils.files import UserError, atomic_write, load_yaml, new_run_folder, save_yaml
from utils.metrics import FREQUENCIES, PROTOCOLS
from utils.options import build, parse_argv

RESERVED = ("resume", "seed", "project", "name", "exist_ok", "data")  # decided here, for every run
WHEREABOUTS = ("device", "workers", "cache", "plots", "save_period", "save_steps")  # change no result

Trainer = Callable[..., Any]
Examiner = Callable[[Path, Mapping[str, Any]], list[Report]]


@dataclass(frozen=True)
class RunSpec:
    """One run of the comparison: its name as the user wrote it, and the train options that are its own."""

    label: str
    own: dict[str, Any]

    @property
    def slug(self) -> str:
        """The name as a folder."""
        words = "".join(letter if letter.isalnum() or letter in "._-" else " " for letter in self.label).split()
        return "-".join(words)[:60] + "-" + hashlib.sha256(self.label.encode()).hexdigest()[:6]


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
    shared = {key: value for key, value in _canonical(options).items() if key not in _own_names()}
    specs = [parse_run(text) for text in chosen.run]
    data = str(shared.pop("data", TrainOptions().data))
    task = task_of(data)
    examine = examiner or examiner_of(task, data, chosen.split)
    usual = TASKS[task].metrics if task in TASKS else METRICS
    metrics = chosen.metric if "metric" in options else usual[:1]
    _check(specs, shared, metrics, usual)
    config = load_data(data, make_demo=make_world)
    splits = present_splits(config, chosen.split)
    same = {key: value for key, value in shared.items() if key not in WHEREABOUTS}
    save_dir = choose_folder(chosen, {"data": str(config.file), "split": chosen.split, "shared": _plain(same)})
    bench = Bench(config, save_dir, shared, trainer or _train, examine)
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


def examiner_of(task: str, data: str, split: str) -> Examiner:
    """What measures the checkpoints of a task. Raises UserError for a task that cannot be compared."""
    examine = entry("examine", task)
    if examine is None:
        return Examination(data, split)
    return lambda best, options: examine(best, data, split, str(options.get("device", "")))


def _train(**options: Any) -> Any:
    """`engine.train`, imported when it is first needed."""
    from engine.training import train

    return train(**options)


def _own_names() -> set[str]:
    """Options of the comparison itself."""
    return {entry.name for entry in fields(CompareOptions)}


def _canonical(options: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, each converted to its type, under its own name (not an alias)."""
    words = [f"{key}={_word(value)}" for key, value in options.items() if key != "run"]
    return parse_argv(words, COMPARE_SCHEMAS, "compare", ABOUT)


def _word(value: Any) -> str:
    """A value as the command line writes it."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as plain values, in one order."""

    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value

    return {key: plain(value) for key, value in sorted(options.items())}


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
    """The newest folder of the same comparison, to go on with, else a new one. Runs and seeds may be added later."""
    numbered = [path for path in chosen.project.glob(f"{chosen.name}*") if path.name[len(chosen.name) :].isdecimal()]
    here = [chosen.project / chosen.name, *sorted(numbered, key=lambda path: int(path.name[len(chosen.name) :]))]
    same = [path for path in here if (path / "compare.yaml").is_file() and load_yaml(path / "compare.yaml") == facts]
    if same and not chosen.restart:
        return same[-1]
    folder = new_run_folder(chosen.project, chosen.name, chosen.exist_ok)
    save_yaml(folder / "compare.yaml", facts)
    return folder


@dataclass(frozen=True)
class Bench:
    """Trains and measures each (run, seed), and remembers what is done."""

    config: DataConfig
    save_dir: Path
    shared: dict[str, Any]
    trainer: Trainer
    examiner: Examiner

    def run_all(self, specs: list[RunSpec], seeds: range, restart: bool = False) -> list[Outcome]:
        """All runs of the first seed, then of the next, so that early results can already be compared."""
        pairs = [(spec, seed) for seed in seeds for spec in specs]
        outcomes = []
        for number, (spec, seed) in enumerate(pairs, 1):
            known = None if restart else self._recall(spec, seed)
            outcome = known or self._attempt(spec, seed)
            outcomes.append(outcome)
            print(f"[{number}/{len(pairs)}] {outcome.line()}{' (already there)' if known else ''}", flush=True)
        return outcomes

    def options_of(self, spec: RunSpec, seed: int) -> dict[str, Any]:
        """The train options of a pair, less its folder."""
        return {**self.shared, **spec.own, "data": str(self.config.file), "seed": seed}

    def _fingerprint(self, spec: RunSpec, seed: int) -> str:
        """Changes with every option that can change the result."""
        options = {key: value for key, value in self.options_of(spec, seed).items() if key not in WHEREABOUTS}
        return hashlib.sha256(json.dumps(_plain(options), default=str).encode()).hexdigest()

    def _row(self, spec: RunSpec, seed: int) -> Path:
        """Where the row of a pair is kept; the matches of its pictures lie beside it."""
        return self.save_dir / "rows" / f"{spec.slug}-seed{seed}.json"

    def _recall(self, spec: RunSpec, seed: int) -> Outcome | None:
        """A finished pair of the same options, or None."""
        path = self._row(spec, seed)
        if not path.is_file():
            return None
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["fingerprint"] != self._fingerprint(spec, seed):
            return None
        reports = [Report(**facts, pictures=_load_pictures(path, facts["split"])) for facts in row["reports"]]
        return Outcome(spec.label, seed, reports, row["train_seconds"])

    def _attempt(self, spec: RunSpec, seed: int) -> Outcome:
        """Train and measure; a failure becomes the outcome's error."""
        try:
            outcome = self._train_and_measure(spec, seed)
        except Exception as problem:  # whatever it was: the other runs must go on
            reason = " ".join(str(problem).split()) or type(problem).__name__
            return Outcome(spec.label, seed, error=reason if isinstance(problem, UserError) else f"{problem!r}")
        self._remember(spec, outcome)
        return outcome

    def _train_and_measure(self, spec: RunSpec, seed: int) -> Outcome:
        """One training in its own folder, then the measurement of its best checkpoint."""
        started = time.perf_counter()
        options = self.options_of(spec, seed)
        folder = self.save_dir / "runs" / f"{spec.slug}-seed{seed}"
        mark = folder / "compare.json"
        begun = (folder / "weights" / "resume.pt").is_file() and mark.is_file()
        if begun and json.loads(mark.read_text())["fingerprint"] == self._fingerprint(spec, seed):
            whereabouts = {key: options[key] for key in ("device", "workers", "cache") if key in options}
            result = self.trainer(resume=str(folder), **whereabouts)
        else:
            atomic_write(mark, json.dumps({"fingerprint": self._fingerprint(spec, seed)}).encode())
            result = self.trainer(**options, project=folder.parent, name=folder.name, exist_ok=True)
        if getattr(result, "interrupted", False):
            raise KeyboardInterrupt
        seconds = sum(row.get("seconds", 0.0) for row in result.rows) or time.perf_counter() - started
        return Outcome(spec.label, seed, self.examiner(result.best, options), seconds)

    def _remember(self, spec: RunSpec, outcome: Outcome) -> None:
        """Write the row last: where it is, everything is."""
        path = self._row(spec, outcome.seed)
        for report in outcome.reports:
            _save_pictures(path, report)
        row = {
            "run": spec.label,
            "seed": outcome.seed,
            "fingerprint": self._fingerprint(spec, outcome.seed),
            "train_seconds": outcome.train_seconds,
            "reports": [{key: value for key, value in vars(r).items() if key != "pictures"} for r in outcome.reports],
        }
        atomic_write(path, json.dumps(row, indent=1).encode())


def _matches_file(row: Path, split: str) -> Path:
    """Where the matches of a split's pictures are kept."""
    return row.with_name(f"{row.stem}-{split}.npz")


def _save_pictures(row: Path, report: Report) -> None:
    """Keep the matches of each picture, for resampling later."""
    pictures = report.pictures
    columns = {key: [getattr(p, key) for p in pictures] for key in ("tp", "conf", "pred_cls", "target_cls")}
    arrays: dict[str, Any] = {key: np.concatenate(values) if values else [] for key, values in columns.items()}
    arrays |= {"detections": [len(p.conf) for p in pictures], "objects": [len(p.target_cls) for p in pictures]}
    arrays["files"] = np.array([p.file for p in pictures], dtype=str)
    atomic_write(_matches_file(row, report.split), lambda path: np.savez_compressed(path, **arrays))


def _load_pictures(row: Path, split: str) -> tuple[PictureStats, ...]:
    """The matches that `_save_pictures` kept."""
    path = _matches_file(row, split)
    if not path.is_file():
        return ()
    with np.load(path, allow_pickle=False) as kept:
        cuts, ends = np.cumsum(kept["detections"])[:-1], np.cumsum(kept["objects"])[:-1]
        columns = [np.split(kept[key], cuts) for key in ("tp", "conf", "pred_cls")]
        return tuple(map(PictureStats, map(str, kept["files"]), *columns, np.split(kept["target_cls"], ends)))


@dataclass(frozen=True)
class Examination:
    """Measures a checkpoint on splits that chose nothing (unless the user asks for val)."""

    data: str
    task: str

    def __call__(self, best: Path, options: Mapping[str, Any]) -> list[Report]:
        """One report a split; `options`: the train options of the run."""
        train = TrainOptions(
            **{key: options[key] for key in ("imgsz", "device", "single_cls", "native", "protocol") if key in options}
        )
        device = train.device.split(",")[0]  # several GPUs train, one measures
        chosen = ValOptions(
            data=self.data, weights=best, task=self.task, imgsz=train.imgsz, single_cls=train.single_cls, device=device,
            native=train.native, protocol=train.protocol,
        )  # fmt: skip
        subject = load_subject(chosen)
        return [measure(subject, split, progress=False) for split in present_splits(subject.config, self.task)]


def _facts(chosen: CompareOptions, data: str, shared: Mapping[str, Any], specs: Sequence[RunSpec]) -> dict[str, Any]:
    """What a reader of the table must know. Options that every run has of its own stand in the runs' names."""
    common = {key: value for key, value in _plain(shared).items() if not all(key in spec.own for spec in specs)}
    budget = ", ".join(f"{key}={value}" for key, value in common.items()) or "the defaults of train.py"
    return {"data": data, "split": chosen.split, "options of every run": budget}
