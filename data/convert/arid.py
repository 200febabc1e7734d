"""ARID's videos and split lists, and day clips of the same classes, brought into one place with lists of our form.

Source: Xu et al., ARID: A New Dataset for Recognizing Action in the Dark (2020), the set's page xuyu0010.github.io/arid.html,
and the layout of its repository: data/CLASS/VIDEO beside list_cvt/ARID_splitN_train.txt, ..._test.txt and mapping_table.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from data.convert.writer import SPLITS, Summary, placing
from data.video.index import video_files
from utils.errors import UserError
from utils.files import REPOSITORY, atomic_folder, files_below, free_folder, load_yaml, read_lines, save_yaml

NAMES = ("Drink", "Jump", "Pick", "Pour", "Push", "Run", "Sit", "Stand", "Turn", "Walk", "Wave")
LIST = "ARID_split{}_test.txt"
VERSIONS = ("1", "2", "3")
VAL = 10  # every tenth day clip of a class chooses the best epoch: night labels are for the test only


Entry = tuple[Path, str, str, int]  # a video, its split, its folder in the result, its class


def convert(
    source: Path, out: Path, *, images: Path | None = None, version: str | None = None, link: str = "copy"
) -> Summary:
    """Convert ARID's unpacked videos and lists, anywhere below `source`; `test` is the test list of a split.

    images: class folders of day clips for training, by default source/day; every tenth one of a class is for `val`.
    version: which of ARID's splits, 1, 2 or 3. link: copy, hard or symbolic. Nothing is in `out` or everything. Raises
    UserError where lists or videos are missing, and for classes that ARID does not have.
    """
    number = version or VERSIONS[0]
    if number not in VERSIONS:
        raise UserError(f"--version {number}: ARID has the splits {', '.join(VERSIONS)}. Choose one of them.")
    place = placing(link)
    free_folder(out)
    summary = Summary(things="videos", boxed=False)
    day = images or source / "day"
    _write([*_day_images(day), *_night_images(source, day, number, summary)], out, place, summary)
    return summary


def _day_images(folder: Path) -> list[Entry]:
    """The day clips, most for train, every tenth of a class for val. Folders below the class stay."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: is missing. It holds the labelled day clips, a folder per class ({', '.join(NAMES[:2])}, ...); name "
            "another one with --images DIR. See docs/tasks/action.md."
        )
    groups = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    wrong = [path.name for path in groups if path.name not in NAMES]
    if wrong or not groups:
        found = f"{', '.join(wrong)} is no class of ARID" if wrong else "it holds no class folder"
        raise UserError(f"{folder}: {found}. Expected folders {', '.join(NAMES)}.")
    return [
        (
            video,
            "train" if index % VAL else "val",
            f"day/{video.parent.relative_to(folder).as_posix()}",
            NAMES.index(group.name),
        )
        for group in groups
        for index, video in enumerate(video_files(group), 1)
    ]


def _night_images(source: Path, day: Path, number: str, summary: Summary) -> list[Entry]:
    """The videos of a test list; those that are missing are noted."""
    listing = next(iter(files_below(source, LIST.format(number))), None) if source.is_dir() else None
    if listing is None:
        raise UserError(
            f"--source {source}: {LIST.format(number)} is not in it. It comes with ARID, in list_cvt/. Put it there."
        )
    inside = [path for path in video_files(source) if not path.is_relative_to(day)]
    videos = {f"{path.parent.name}/{path.name}".lower(): path for path in inside}
    entries: list[Entry] = []
    for place, name in _lines(listing):
        group = next((known for known in NAMES if known.lower() == name.parent.name.lower()), None)
        if group is None:
            raise UserError(
                f"{place}: {str(name)!r} is in no class folder of ARID ({', '.join(NAMES)}). Download it again."
            )
        video = videos.get(f"{group}/{name.name}".lower())
        if video is None:
            summary.skipped.append((source / str(name), "listed, but the video is missing"))
        else:
            entries.append((video, "test", f"clips/{group}", NAMES.index(group)))
    return entries


def _lines(listing: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """(place, CLASS/VIDEO) of each line `index class path`. The class is taken from the folder, as numbers differ."""
    for number, line in enumerate(read_lines(listing), 1):
        words = line.split(maxsplit=2)
        if not words:
            continue
        if len(words) != 3:
            raise UserError(
                f"{listing}:{number}: expected 'index class path', not {line.strip()!r}. Download the list again."
            )
        yield f"{listing}:{number}", PurePosixPath(words[2].strip().replace("\\", "/"))


def _write(entries: Sequence[Entry], out: Path, place: Callable[[Path, Path], object], summary: Summary) -> None:
    """Videos, lists and data.yaml, all or nothing."""
    for split in ("train", "test"):
        if not any(entry[1] == split for entry in entries):
            raise UserError(
                f"{out}: no video for '{split}' was found, so nothing was written. Check --source and --images."
            )
    with atomic_folder(out) as work:
        lists: dict[str, list[str]] = {}
        for video, split, folder, label in dict.fromkeys(entries):  # a list may name a video twice
            target = work / folder / video.name
            target.parent.mkdir(parents=True, exist_ok=True)
            place(video, target)
            listed = lists.setdefault(split, [])
            listed.append(f"{len(listed)}\t{label}\t{folder}/{video.name}\n")
            summary.images += 1
            summary.per_split[split] += 1
        (work / "lists").mkdir()
        for split, lines in lists.items():
            (work / "lists" / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
        paths = {split: f"lists/{split}.txt" for split in SPLITS if split in lists}
        words = {split: "night" if split == "test" else "day" for split in lists if split != "train"}
        method, names = load_yaml(REPOSITORY / "data" / "arid.yaml")["method"], dict(enumerate(NAMES))
        content = {"path": ".", **paths, "task": "action", "conditions": words, "method": method, "names": names}
        save_yaml(work / "data.yaml", content)
