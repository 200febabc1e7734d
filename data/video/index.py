"""Which videos a labelled set has, and what class each is of.

A split is a folder of class folders (`Walk/Walk_1.avi`), or a list with lines `index<TAB>class number<TAB>path`, as ARID
and its relatives have them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from data.config import DataConfig
from data.io.pairs import match_pairs
from data.io.video import VideoInfo, probe_videos
from utils.disk.reading import read_text
from utils.errors import UserError, suggestion
from utils.files import VIDEO_SUFFIXES, files_below
from utils.tables import whole


@dataclass(frozen=True)
class Video:
    """One labelled video, and the dark video of the same scene where the set has any."""

    path: Path
    label: int
    paired: Path | None = None
    facts: VideoInfo = VideoInfo((0, 0), 1)


@dataclass
class VideoSplit:
    """The videos of a split that can be decoded, and those skipped, with the reason."""

    videos: list[Video] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def load_split(config: DataConfig, split: str, paired: bool = False) -> VideoSplit:
    """Look at every video of a split once. paired: each with that of the key `pair`, matched by stem and folders.

    Files that are empty, no video, or cut off before their first frame are skipped, with their paired videos, and listed in
    `skipped`. Raises UserError for a split without a usable video, a class that the names do not have, a path out of the
    data set's folder, or a paired video that is missing or differs in size or length.
    """
    found, listed = VideoSplit(), list_videos(config, split)
    paths = [video.path for video in listed]
    dark = match_pairs(paths, _paired_paths(config)) if paired else []
    facts = dict(zip(paths + dark, probe_videos(paths + dark), strict=True))
    for video, other in zip_longest(listed, dark):
        own, second = facts[video.path], facts[other or video.path]
        if isinstance(own, str):
            found.skipped.append((video.path, own))
        elif isinstance(second, str):
            found.skipped.append((other, second))
        elif own != second:
            raise UserError(
                f"{other} has {second}, but its paired video {video.path} has {own}. Make it again from the video as it is "
                "now."
            )
        else:
            found.videos.append(replace(video, paired=other, facts=own))
    if not found.videos:
        (first, reason), *_ = found.skipped
        raise UserError(
            f"{config.file}: no video of '{split}' can be decoded; the first is {first}: {reason}. Download the files again."
        )
    return found


def list_videos(config: DataConfig, split: str) -> list[Video]:
    """The videos of a split with their classes, sorted by path; none is opened. Raises UserError, see load_split."""
    if split not in config.splits:
        raise UserError(f"{config.file}: there is no split '{split}'. Add a line '{split}: FOLDER'.")
    videos: list[Video] = []
    for place in config.splits[split]:
        videos += _in_list(config, place) if place.is_file() else _in_folders(config, place)
    if not videos:
        known = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"{config.file}: '{split}' holds no video ({known}). Put class folders with videos there.")
    return sorted(videos, key=lambda video: video.path)


def _in_folders(config: DataConfig, folder: Path) -> list[Video]:
    """Videos of a folder of class folders."""
    numbers = {name: number for number, name in config.names.items()}
    videos = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if home.name not in numbers:
            raise UserError(
                f"{home}: {config.file.name} has no class {home.name!r}.{suggestion(home.name, numbers)} Rename the "
                "folder, or add the class to 'names'."
            )
        videos += [Video(path, numbers[home.name]) for path in video_files(home)]
    return videos


def video_files(folder: Path) -> list[Path]:
    """Videos below a folder, sorted; hidden ones are passed over."""
    found = [path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES]
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _in_list(config: DataConfig, listing: Path) -> list[Video]:
    """Videos of a list file."""
    try:
        lines = read_text(listing).splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{listing}: is not text. Expected lines 'index<TAB>class number<TAB>path'.") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [_in_line(config, listing, f"{listing}:{number}", line.strip()) for number, line in numbered]


def _in_line(config: DataConfig, listing: Path, where: str, line: str) -> Video:
    """The video of one line; its path is relative to the data set's folder, or to the list's own."""
    parts = line.split("\t") if "\t" in line else line.split(maxsplit=2)
    if len(parts) != 3 or (label := whole(parts[1].strip())) is None:
        raise UserError(f"{where}: expected 'index<TAB>class number<TAB>path', not {line!r}. Correct the line.")
    name = parts[2].strip().replace("\\", "/")
    if label not in config.names:
        raise UserError(
            f"{where}: class {label} is not among the names of {config.file.name}, 0 to {max(config.names)}. Correct "
            "the line, or the names."
        )
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise UserError(f"{where}: {name!r} leads out of the data set's folder. List videos of this data set only.")
    homes = list(dict.fromkeys((config.root, listing.parent)))
    path = next((home / name for home in homes if (home / name).is_file()), None)
    if path is None:
        looked = " nor in ".join(map(str, homes))
        raise UserError(f"{where}: {name!r} is not in {looked}. Put the video there, or remove the line.")
    return Video(path, label)


def _paired_paths(config: DataConfig) -> list[Path]:
    """Every video of the key `pair`."""
    found: list[Path] = []
    for place in config.splits.get("pair", ()):
        found += [video.path for video in _in_list(config, place)] if place.is_file() else video_files(place)
    if not found:
        raise UserError(f"{config.file}: 'pair' holds no video. Put the dark videos there, or remove the key.")
    return found
