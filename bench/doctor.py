"""Does `prepare.py check` find planted faults, and nothing else? python -m bench.doctor --sets FOLDER... --out FILE.md

Each set is copied to a temporary folder and checked as it is; then with all faults of single files in it at once (each in
files of its own), then once for each fault of a whole split. A finding is false if it names no file that a fault was planted in
and the clean copy does not have it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.planted_faults import DUPLICATES, FILES, PAIRS, SETS, Copy, Fault
from data.checks.findings import KINDS, Finding, Place
from data.config import load_data
from engine.diagnosis.diagnosis import Diagnosis, diagnose
from utils.files import REPOSITORY, atomic_write, save_yaml
from utils.tables import markdown_table

Named = set[tuple[str, str]]  # (kind of finding, a file or, without files, a split)


def copy_of(source: Path, target: Path) -> Copy:
    """A copy of a set in YOLO's layout. A synthetic one, which has no data YAML in its folder, gets the project's."""
    shutil.copytree(source, target)
    config = load_data(
        source if (source / "data.yaml").is_file() else REPOSITORY / "data" / f"{source.name}.yaml", need=()
    )
    if not (target / "data.yaml").is_file():
        splits = {
            split: [str(place.relative_to(config.root)) for place in places] for split, places in config.splits.items()
        }
        conditions = {split: word for split, word in config.conditions.items() if split != word}
        save_yaml(target / "data.yaml", {"path": ".", **splits, "conditions": conditions, "names": config.names})
    return Copy(target)


def named_by(diagnosis: Diagnosis) -> Named:
    """What a diagnosis names."""
    return {(finding.kind, str(place.file)) for finding in diagnosis.findings for place in places_of(finding)}


def places_of(finding: Finding) -> Sequence[Place]:
    """The places of a finding; its split where it has none."""
    return finding.places or [Place(Path(finding.split))]


def names(findings: Sequence[Finding], fault: Fault, file: Path | None) -> bool:
    """Whether a fault is found: by its kind of finding and, where it is in a file, by that."""
    places = [finding.places for finding in findings if finding.kind == fault.finding]
    return bool(places) if file is None else any(str(file) in str(place) for listed in places for place in listed)


def plant_files(source: Path, place: Path, clean: Named) -> Iterator[dict[str, Any]]:
    """All faults of single files in one copy, those of pairs in another: a row per fault, and one of what was found besides.

    place: of the copies; clean: what is named of a copy there without planted faults.
    """
    yield from _plant_together(source, place, clean, [*FILES, *DUPLICATES], pair=None)
    if (source / "images" / "train_night").is_dir():
        yield from _plant_together(source, place, clean, PAIRS)


def _plant_together(
    source: Path, place: Path, clean: Named, faults: Sequence[Fault], **entries: Any
) -> Iterator[dict[str, Any]]:
    """Faults in one copy. entries: of the data YAML to replace."""
    copy = copy_of(source, place)
    copy.configure(**entries)
    planted = [(fault, fault.plant(copy)) for fault in faults]
    diagnosis, _ = diagnose(str(copy.yaml))
    head = {"set": source.name, "images": diagnosis.images}
    for fault, file in planted:
        yield {**head, "fault": fault.name, "finding": fault.finding, "found": names(diagnosis.findings, fault, file)}
    false = [
        (finding.kind, str(place))
        for finding in diagnosis.findings
        for place in places_of(finding)
        if (finding.kind, str(place.file)) not in clean
        and not any(file is not None and f"{file.stem}." in str(place) for _, file in planted)
    ]
    yield {**head, "fault": "", "seconds": diagnosis.seconds, "false": false}
    shutil.rmtree(copy.root)


def plant_sets(source: Path, place: Path, clean: Named) -> Iterator[dict[str, Any]]:
    """Each fault of a whole split in a copy of its own, unless the clean set has the finding already."""
    before = {kind for kind, _ in clean}
    for fault in (fault for fault in SETS if fault.finding not in before):
        copy = copy_of(source, place)
        file = fault.plant(copy)
        diagnosis, _ = diagnose(str(copy.yaml))
        others = {finding.kind for finding in diagnosis.findings} - before - {fault.finding}
        head = {"set": source.name, "fault": fault.name, "finding": fault.finding}
        yield {**head, "found": names(diagnosis.findings, fault, file), "also": ", ".join(sorted(others))}
        shutil.rmtree(copy.root)


def tables(sets: Sequence[Path], split_faults: Sequence[Path]) -> str:
    """The page. split_faults: those sets that faults of whole splits are planted in too."""
    rows: list[dict[str, Any]] = []
    clean: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sets:
            place = Path(folder) / "set"
            copy = copy_of(source, place)
            diagnosis, _ = diagnose(str(copy.yaml))
            shutil.rmtree(copy.root)
            found = "; ".join(f"{f.kind} ({f.split})" if f.split else f.kind for f in diagnosis.findings)
            facts = {"set": source.name, "images": diagnosis.images, "seconds": diagnosis.seconds}
            clean.append({**facts, "findings": found or "none", "advice": diagnosis.advice})
            rows += plant_files(source, place, named_by(diagnosis))
            whole += plant_sets(source, place, named_by(diagnosis)) if source in split_faults else []
    return page(clean, rows, whole)


def page(clean: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], whole: Sequence[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    planted = [row for row in rows if row["fault"]]
    false = [f"{row['set']}: {kind}: {where}" for row in rows if not row["fault"] for kind, where in row["false"]]
    by_fault: dict[str, dict[str, Any]] = {}
    for row in planted:
        entry = by_fault.setdefault(
            row["fault"], {"fault": row["fault"], "finding": row["finding"], "planted": 0, "found": 0}
        )
        entry["planted"] += 1
        entry["found"] += int(row["found"])
    kinds = {row["finding"] for row in (*planted, *whole)}
    every = [*planted, *whole]
    different = len({row["fault"] for row in every})
    parts = [
        f"**{sum(row['found'] for row in every)} of {len(every)} planted faults found** ({different} different "
        f"ones, of {len(kinds)} of the {len(KINDS)} findings); {len(false)} findings that nobody planted.",
        "The sets as they are:",
        markdown_table(clean, 1),
        "Faults of single files, all in one copy of each set at once:",
        markdown_table(list(by_fault.values())),
        "Faults of a whole split, each in a copy of its own (`also`: other findings that it causes):",
        markdown_table([{**row, "found": "yes" if row["found"] else "no"} for row in whole]),
        "\n".join(f"- false: {line}" for line in false),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    """Run and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of data sets in YOLO's layout")
    parser.add_argument(
        "--split-faults", type=Path, nargs="*", default=[], help="those of --sets whose splits get faults too"
    )
    parser.add_argument("--out", type=Path, help="Markdown file")
    given = parser.parse_args()
    text = tables(given.sets, given.split_faults)
    print(text)
    if given.out:
        atomic_write(given.out, text.encode())


if __name__ == "__main__":
    main()
