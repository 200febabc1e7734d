"""`compare.py --auto`: from what `prepare.py check` finds in a data set to the few runs worth comparing on it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.checks.findings import Finding
from data.config import DataConfig, load_data
from engine.comparison.config import Step
from engine.diagnosis.answers import REMEDIES
from engine.diagnosis.diagnosis import Diagnosis, diagnose
from methods.registry import METHODS, suitable_methods
from models.detector import FOLDER as MODELS
from utils.errors import UserError
from utils.files import save_yaml

MOST = 4  # runs, plain training included
PLAIN = "none"
FAMILY = re.compile(r"(yolo(?:v?\d+))([nsmlx])")


@dataclass(frozen=True)
class Candidate:
    """One run: the text of --run, and why it is worth its time."""

    run: str
    why: str


@dataclass(frozen=True)
class AutoPlan:
    """What --auto compares, and at what image size.

    steps: what must be made first, as in a comparison file; skipped: (method, reason).
    """

    data: str
    imgsz: int
    runs: tuple[Candidate, ...]
    advice: str
    steps: Mapping[str, Step] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()


def plan_runs(data: str, project: Path, shared: Mapping[str, Any]) -> AutoPlan:
    """The runs for a data set: plain training, and what answers its findings, the weightiest first, at most MOST.

    shared: the options of every run; a network that a run needs is of the same family and scale as theirs. Raises UserError
    for a set that cannot be checked or trained on.
    """
    diagnosis, _ = diagnose(data, shared.get("imgsz"))
    refuse_errors(diagnosis)
    runs, skipped = [Candidate(PLAIN, "plain training, the baseline")], []
    steps: dict[str, Step] = {}
    target = data
    for finding in diagnosis.leading:
        remedy, plain = REMEDIES[finding.kind], options_of(finding, shared)
        if plain:
            runs.append(Candidate(f"{PLAIN} {plain}", finding.gist))
        for method, options in suitable_methods(finding.kind).items():
            missing, reason = missing_keys(method, diagnosis.config), ""
            if missing and missing == [remedy.makes]:
                reason, made = pair_steps(diagnosis.config, project)
                steps, target = (made, [*made][-1]) if made else (steps, target)
            elif missing:
                reason = f"{diagnosis.config.file.name} has no '{missing[0]}' images"
            if reason:
                skipped.append((method, reason))
            else:
                run = " ".join(filter(None, [method, fitted(options, shared), plain]))
                runs.append(Candidate(run, finding.gist))
    return AutoPlan(target, diagnosis.imgsz, tuple(runs[:MOST]), diagnosis.advice, steps, tuple(skipped))


def refuse_errors(diagnosis: Diagnosis) -> None:
    """Raise UserError for findings that training refuses or that make every result worthless."""
    stopping = ("label-unreadable", "label-row", "label-class", "label-range", "leak", "pair-missing", "pair-size")
    wrong = [finding for finding in diagnosis.findings if finding.kind in stopping]
    if wrong:
        raise UserError(
            f"--auto: {wrong[0].what} ({wrong[0].kind}), so that no comparison would mean anything. Correct it first; "
            f"'python prepare.py check --data {shlex.quote(str(diagnosis.config.file))}' lists the files."
        )


def options_of(finding: Finding, shared: Mapping[str, Any]) -> str:
    """The options of train.py that answer a finding without a method; none where they are another training's."""
    remedy = REMEDIES[finding.kind]
    return "" if remedy.first else fitted(remedy.options.format(**{"threshold": "0.1", **finding.fields}), shared)


def missing_keys(method: str, config: DataConfig) -> list[str]:
    """The images that a method reads and the data YAML does not name."""
    keys = [key for key in METHODS[method].keys if not key.option and config.task in key.tasks]
    return [key.name for key in keys if key.name not in config.splits]


def fitted(options: str, shared: Mapping[str, Any]) -> str:
    """Options whose network has the family and scale of the other runs' network, where such a file exists.

    >>> fitted("--cfg models/yolov8n-p2.yaml", {"cfg": "models/yolov5s.yaml"})
    '--cfg models/yolov5s-p2.yaml'
    """
    theirs = FAMILY.search(Path(str(shared.get("cfg") or shared.get("weights") or "yolov5s")).name)
    ours = re.search(r"models/(yolo(?:v?\d+))([nsmlx])(-\w+)\.yaml", options)
    if theirs is None or ours is None:
        return options
    family, scale = theirs.groups()
    there = (MODELS / f"{family}{ours[3]}.yaml").is_file()
    return options.replace(ours[0], f"models/{family}{scale}{ours[3]}.yaml") if there else options


def pair_steps(config: DataConfig, project: Path) -> tuple[str, dict[str, Step]]:
    """(why not, what makes paired images and a copy of the data YAML that names them); nothing beside the user's data."""
    places = config.splits["train"]
    if len(places) != 1:
        return "train has several folders; darken each and name them as 'pair'", {}
    name = config.root.name if config.file.stem == "data" else config.file.stem
    folder = project / "auto" / f"{name}-{_digest(places[0].resolve())}_night"
    copy = project / "auto" / f"{name}-{_digest(paired(config, folder))}.yaml"
    darken: Step = {"darken": {"source": str(places[0]), "labels": False}}
    yaml: Step = {"engine.comparison.auto:write_paired": {"source": str(config.file), "pair": str(folder)}}
    return "", {str(folder): darken, str(copy): yaml}


def _digest(content: Any) -> str:
    """Six digits of a name: what is made of other images, or of a data YAML that says something else, has another name."""
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:6]


def write_paired(out: Path, source: str, pair: str) -> None:
    """A copy of a data YAML, with absolute paths, that also names paired images."""
    save_yaml(out, paired(load_data(source, need=()), Path(pair)))


def paired(config: DataConfig, pair: Path) -> dict[str, Any]:
    """What `write_paired` writes."""
    splits = {split: [str(place) for place in places] for split, places in config.splits.items()}
    more: dict[str, Any] = {name: str(path) for name, path in config.options.items()}
    more |= {"frequency": list(config.frequency)} if config.frequency else {}
    more |= {"federated": str(config.federated)} if config.federated else {}
    facts: dict[str, Any] = {"conditions": config.conditions, "method": config.method, "names": config.names}
    return {"path": str(config.root), **splits, "pair": str(pair.absolute()), **more, **facts}


def commands_of(plan: AutoPlan, words: Sequence[str]) -> list[str]:
    """The plan as commands for a shell. words: the other options of the comparison."""
    lines = []
    for target, step in plan.steps.items():
        ((command, options),) = step.items()
        if ":" in command:
            lines.append(f"# {target}: {options['source']} with 'pair: {options['pair']}'")
            continue
        lines.append(" ".join([f"python prepare.py {command}", *words_of(options), "--out", shlex.quote(target)]))
    runs = [f"--run {shlex.quote(candidate.run)}" for candidate in plan.runs]
    return [
        *lines,
        " ".join(["python compare.py --data", shlex.quote(plan.data), *runs, f"--imgsz {plan.imgsz}", *words]),
    ]


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Options as a shell takes them.

    >>> words_of({"seeds": 3, "exist_ok": True, "metric": ("mAP50", "AP")})
    ['--seeds 3', '--exist-ok', '--metric mAP50', '--metric AP']
    """
    words = []
    for key, value in options.items():
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"--{flag} {shlex.quote(str(each))}" for each in several]
    return words


def lines_of(plan: AutoPlan, words: Sequence[str], duration: str) -> list[str]:
    """What is said before anything is trained: the runs with their reasons, the commands, the time."""
    width = max(len(candidate.run) for candidate in plan.runs)
    lines = [plan.advice, "Runs worth comparing on this data set:"]
    lines += [f"  {candidate.run:<{width}}  {candidate.why}" for candidate in plan.runs]
    lines += [f"  not {method}: {reason}" for method, reason in plan.skipped]
    if len(plan.runs) == 1:
        return [*lines, "Nothing to compare: no finding calls for anything but plain training."]
    return [
        *lines,
        "As commands:",
        *(f"  {line}" for line in commands_of(plan, words)),
        f"Training and evaluation: {duration}",
    ]
