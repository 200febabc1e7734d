"""From the outcomes of a comparison to its tables: mean, spread, intervals of the differences; CSV, Markdown, PNG."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from engine.comparison.advice import advise
from engine.results import Report, matches_of
from utils.files import atomic_write
from utils.log import LOGGER
from utils.metrics import bootstrap
from utils.plots import plot_comparison
from utils.tables import markdown_table, save_csv, text_table

METRICS = ("mAP50", "mAP50-95")
ACCURACIES = ("top1", "top5")  # fractions of the images; fields of ClassificationStats
LEVELS = {"mAP50": range(1), "AP50": range(1)}  # IoU levels that a metric is the mean of; others: all ten
FEW_SEEDS = 5  # seeds below which the table warns


@dataclass(frozen=True)
class RunOutcome:
    """What one (run, seed) gave: a report per split and the seconds of training, or why it failed."""

    run: str
    seed: int
    reports: list[Report] = field(default_factory=list)
    train_seconds: float = 0.0
    error: str = ""

    def line(self) -> str:
        """The outcome in one line."""
        head = f"{self.run}, seed {self.seed}"
        if self.error:
            return f"{head}: failed: {self.error}"
        return f"{head}: {self._numbers()}  ({self.train_seconds:.0f} s of training)"

    def scores(self) -> str:
        """The same of a checkpoint, which has no seed and was not trained here."""
        return f"{self.run}: {self._numbers()}"

    def _numbers(self) -> str:
        scores = []
        for report in (report for report in self.reports if not report.part):
            name = METRICS[0] if METRICS[0] in report.metrics else next(iter(report.metrics))
            scores.append(f"{report.condition} {name} {report.metrics[name]:.3f}")
        return "  ".join(scores)


@dataclass
class Comparison:
    """The outcomes of a comparison by run and condition.

    metrics: those whose differences are reported. groups: a metric over some classes only -> these classes; a metric that
    is neither in METRICS, in ACCURACIES nor here cannot be computed on resampled images: its interval is over seeds alone.
    standard: metrics that every summary of the task shows. trained: False for finished checkpoints, which have no seeds.
    whole: the conditions as given; `conditions` then holds those that outcomes have besides, the parts of --by, too.
    """

    runs: list[str]
    conditions: list[str]
    outcomes: list[RunOutcome]
    metrics: Sequence[str]
    resamples: int
    groups: Mapping[str, Collection[int] | None] = field(default_factory=dict)
    standard: Sequence[str] = METRICS
    trained: bool = True
    whole: Sequence[str] = field(init=False)
    _resampled: dict[tuple[str, int, str, str], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.whole = list(self.conditions)
        found = (report.condition for outcome in self.outcomes for report in outcome.reports if report.part)
        self.conditions = list(dict.fromkeys((*self.conditions, *found)))
        self.groups = {**dict.fromkeys((*METRICS, *ACCURACIES)), **self.groups}

    @property
    def shown(self) -> list[str]:
        """Metrics of the summary: the standard ones, and those that are compared besides."""
        return list(dict.fromkeys((*self.standard, *self.metrics)))

    def reports(self, run: str, condition: str) -> dict[int, Report]:
        """Seed -> report of the finished seeds of a run."""
        finished = (outcome for outcome in self.outcomes if outcome.run == run and not outcome.error)
        return {o.seed: report for o in finished for report in o.reports if report.condition == condition}

    def values(self, run: str, condition: str, metric: str) -> np.ndarray:
        """The metric of each finished seed: (seeds,)."""
        return np.array([report.metrics.get(metric, np.nan) for report in self.reports(run, condition).values()])

    def summary(self) -> list[dict[str, Any]]:
        """One row per run and condition: mean and spread (sd) of each metric, seconds of training, what failed."""
        return [self._summary_row(run, condition) for run in self.runs for condition in self.conditions]

    def _summary_row(self, run: str, condition: str) -> dict[str, Any]:
        outcomes = [outcome for outcome in self.outcomes if outcome.run == run]
        row: dict[str, Any] = {"run": run, "condition": condition}
        if not self.trained:
            return row | {metric: float(self.values(run, condition, metric).mean()) for metric in self.shown}
        row["seeds"] = len(self.reports(run, condition))
        for metric in self.shown:
            values = self.values(run, condition, metric)
            row[metric] = float(values.mean()) if len(values) else float("nan")
            row[f"{metric} sd"] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        seconds = [outcome.train_seconds for outcome in outcomes if not outcome.error]
        row["train s"] = round(float(np.mean(seconds))) if seconds else None
        errors = [f"seed {outcome.seed}: {outcome.error}" for outcome in outcomes if outcome.error]
        return {**row, "failed": "; ".join(errors)} if errors else row

    def differences(self) -> list[dict[str, Any]]:
        """Each run against the first, and against the one before it: difference, interval, verdict."""
        pairs = [(run, self.runs[0]) for run in self.runs[1:]]
        pairs += [(run, before) for before, run in pairwise(self.runs[1:])]
        every = product(self.metrics, pairs, self.conditions)
        rows = (self._difference(*pair, condition, metric) for metric, pair, condition in every)
        return [row for row in rows if row is not None]

    def advice(self, differences: Sequence[Mapping[str, Any]]) -> str:
        """One sentence that the intervals of whole conditions allow; see `advise`."""
        return advise(self.runs, [row for row in differences if row["condition"] in self.whole])

    def _difference(self, run: str, other: str, condition: str, metric: str) -> dict[str, Any] | None:
        """The row of one pair of runs, over the seeds that both have finished."""
        ours, theirs = self.reports(run, condition), self.reports(other, condition)
        seeds = [
            s for s in sorted(ours.keys() & theirs.keys()) if metric in ours[s].metrics and metric in theirs[s].metrics
        ]
        if not seeds:
            return None
        a, b = ([reports[seed] for seed in seeds] for reports in (ours, theirs))
        interval, resampled = self._interval(a, b, [(run, seed, condition, metric) for seed in seeds], other)
        wins = sum(x.metrics[metric] > y.metrics[metric] for x, y in zip(a, b, strict=True))
        row = {
            "run": run,
            "against": other,
            "condition": condition,
            "metric": metric,
            "difference": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "verdict": interval.verdict,
        }
        ahead = {"seeds ahead": f"{wins} of {len(seeds)}"} if self.trained else {}
        return {**row, **ahead, "resampled": resampled}

    def _interval(
        self, a: list[Report], b: list[Report], keys: list[tuple[str, int, str, str]], other: str
    ) -> tuple[bootstrap.Interval, str]:
        """The interval of the mean difference, and what was drawn for it: seeds and images, where both are there."""
        metric = keys[0][3]
        ours, theirs = ([report.metrics[metric] for report in reports] for reports in (a, b))
        files = [[image.file for image in report.per_image] for report in (*a, *b)]
        if metric not in self.groups or not files[0] or any(other != files[0] for other in files):
            return bootstrap.paired_bootstrap(ours, theirs, samples=self.resamples), f"{len(a)} seeds"
        table = np.stack([self._resample(key, report) for key, report in zip(keys, a, strict=True)])
        against = [(other, *key[1:]) for key in keys]
        reference = np.stack([self._resample(key, report) for key, report in zip(against, b, strict=True)])
        mean = float(np.mean(ours) - np.mean(theirs))
        interval = bootstrap.crossed_bootstrap(table, reference, mean, seeds_too=len(a) > 1)
        seeds = f"{len(a)} seeds x " if len(a) > 1 else ""
        return interval, f"{seeds}{len(a[0].per_image)} images"

    def _resample(self, key: tuple[str, int, str, str], report: Report) -> np.ndarray:
        """The metric on each resample of the images, which are the same resamples for every run: (resamples,)."""
        if key not in self._resampled:
            weights = bootstrap.resample_weights(len(report.per_image), self.resamples)
            self._resampled[key] = self._resampled_metric(key[3], report, weights)
        return self._resampled[key]

    def _resampled_metric(self, metric: str, report: Report, weights: np.ndarray) -> np.ndarray:
        """A metric where image p counts weights[r, p] times: (resamples, images) -> (resamples,)."""
        if metric in ACCURACIES:
            correct = np.array([getattr(image, metric) for image in report.per_image])
            return weights @ correct / weights.sum(1)
        levels, classes = LEVELS.get(metric, range(10)), self.groups[metric]
        return np.mean(
            [bootstrap.resampled_map(matches_of(report.detections, level, classes), weights) for level in levels], 0
        )


def save_report(
    comparison: Comparison, save_dir: Path, out: Path | None, data: str, facts: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Print the tables, and write them with an image into the run folder and, if given, into `out`."""
    summary, differences = comparison.summary(), comparison.differences()
    notes = [*verdicts(comparison, differences), *notes_of(comparison, facts)]
    for rows in (summary, differences):
        print("\n" + text_table(rows))
    print("\n" + "\n".join(notes))
    advice = comparison.advice(differences)
    if advice:
        print(f"\n{advice}")
    page = markdown(comparison, summary, differences, notes, advice)
    for folder, stem in ((save_dir, "compare"), *([(out, f"compare-{data}")] if out else [])):
        save_csv(folder / f"{stem}.csv", raw_rows(comparison))
        save_csv(folder / f"{stem}-summary.csv", summary)
        save_csv(folder / f"{stem}-differences.csv", differences)
        atomic_write(folder / f"{stem}.md", page.replace("{stem}", stem).encode())
        metric = comparison.metrics[0]
        values = {c: {r: comparison.values(r, c, metric).tolist() for r in comparison.runs} for c in comparison.whole}
        plot_comparison(values, folder / f"{stem}.png", metric)
        LOGGER.info(f"tables and image: {folder / stem}.md .csv .png")
    return summary, differences


def verdicts(comparison: Comparison, differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a run is better or worse, in a sentence per pair and metric; none where there are no parts of conditions."""
    if len(comparison.conditions) == len(comparison.whole):
        return []
    pairs = dict.fromkeys((row["run"], row["against"], row["metric"]) for row in differences)
    lines = []
    for run, against, metric in pairs:
        mine = [row for row in differences if (row["run"], row["against"], row["metric"]) == (run, against, metric)]
        said = {word: [row["condition"] for row in mine if row["verdict"] == word] for word in ("better", "worse")}
        open_ = len(mine) - sum(map(len, said.values()))
        parts = [f"{word} in {'; '.join(where)}" for word, where in said.items() if where]
        lines.append(
            f"{run} against {against}, {metric}: {'. '.join([*parts, f'no difference shown in {open_} of {len(mine)}'])}"
        )
    chance = "the more parts, the more of them differ by chance alone: one in twenty where nothing differs"
    return [*lines, chance] if lines else []


def raw_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One row per run, seed and condition, or a run and seed that failed, with the reason."""
    rows: list[dict[str, Any]] = []
    for outcome in comparison.outcomes:
        head: dict[str, Any] = {"run": outcome.run}
        if comparison.trained:
            head |= {"seed": outcome.seed, "train s": round(outcome.train_seconds, 1)}
        rows += [{**head, "condition": r.condition, "images": r.images, **r.metrics} for r in outcome.reports]
        rows += [{**head, "error": outcome.error}] if outcome.error else []
    return rows


def notes_of(comparison: Comparison, facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read the tables correctly."""
    seeds = max((len(comparison.reports(run, c)) for run in comparison.runs for c in comparison.conditions), default=0)
    notes = [f"{key}: {value}" for key, value in facts.items()]
    resamples = f"interval: 95 %, {comparison.resamples} resamples of what 'resampled' names, the same ones for both"
    if comparison.trained:
        notes += [
            "budget: the same epochs, batch and size, so every run sees the labelled training images equally often, unless "
            "its options say otherwise; 'train s' is the training time.",
            f"{resamples} runs; spread: standard deviation over seeds.",
        ]
    else:
        notes.append(
            f"{resamples} checkpoints. It speaks of these files on these images, not of the methods that made them: another "
            "seed gives another file."
        )
    if comparison.trained and facts.get("split") == "val":
        notes.append("evaluated on val, which also chose the best epoch: good for tuning, not for a claim.")
    if comparison.trained and 1 < seeds < FEW_SEEDS:
        notes.append(
            f"{seeds} seeds are few: all of them favour the same run by chance one time in {2 ** (seeds - 1)}, and "
            "resampling cannot see beyond them."
        )
    return notes


def markdown(
    comparison: Comparison,
    summary: list[dict[str, Any]],
    differences: list[dict[str, Any]],
    notes: Sequence[str],
    advice: str = "",
) -> str:
    """The page of a comparison; the advice, one sentence, stands last."""
    parts = [
        "# " + " / ".join(comparison.runs),
        f"![{comparison.metrics[0]} of each run]({{stem}}.png)",
        markdown_table(summary),
        "Differences (run minus the other):" if differences else "",
        markdown_table(differences),
        "\n".join(f"- {note}" for note in notes),
        advice,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
