"""Class names across data sets: the fixed lists of known sets, and what other sets call the same things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from utils.errors import UserError

EXDARK = ("bicycle", "boat", "bottle", "bus", "car", "cat", "chair", "cup", "dog", "motorbike", "people", "table")
AITOD = ("airplane", "bridge", "storage-tank", "ship", "swimming-pool", "vehicle", "person", "wind-mill")
VISDRONE = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor",
)  # fmt: skip
DOTA = (  # in the order of the set's page; version 1.0 has the first 15, version 1.5 the first 16
    "plane", "ship", "storage-tank", "baseball-diamond", "tennis-court", "basketball-court", "ground-track-field",
    "harbor", "bridge", "large-vehicle", "small-vehicle", "helicopter", "roundabout", "soccer-ball-field",
    "swimming-pool", "container-crane", "airport", "helipad",
)  # fmt: skip
URPC = ("echinus", "holothurian", "scallop", "starfish")
RUOD = (
    "holothurian", "echinus", "scallop", "starfish", "fish", "corals", "diver", "cuttlefish", "turtle", "jellyfish",
)  # fmt: skip
CITYSCAPES = ("bicycle", "bus", "person", "train", "truck", "motorcycle", "car", "rider")  # as LCP numbers them
KITTI = ("Car", "Pedestrian", "Cyclist")  # those that the benchmark evaluates

COCO = (  # in the order of their ids, as weights trained on COCO number them
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# What --classes can name. These lists hold whether or not a set has an object of each class.
LISTS: dict[str, tuple[str, ...]] = {
    "coco": COCO,
    "exdark": EXDARK,
    "aitod": AITOD,
    "visdrone": VISDRONE,
    "tinyperson": ("person",),
    "dota-1.0": DOTA[:15],
    "dota-1.5": DOTA[:16],
    "dota-2.0": DOTA,
    "urpc2020": URPC,
    "duo": RUOD[:4],
    "ruod": RUOD,
    "cityscapes": CITYSCAPES,
    "kitti": KITTI,
    "rtts": ("person", "bicycle", "car", "motorbike", "bus"),
    "dawn": ("car", "bus", "truck", "motorcycle", "bicycle", "person"),
}

# List -> name in it -> names of the same thing elsewhere. VOC has no cup. Compared without case.
SAME_THING: dict[str, dict[str, tuple[str, ...]]] = {
    "exdark": {
        "motorbike": ("motorcycle",),  # COCO
        "people": ("person",),  # VOC, COCO
        "table": ("diningtable", "dining table"),  # VOC, COCO
    },
    "tinyperson": {"person": ("sea_person", "earth_person")},  # one class in the set's own evaluation
    "cityscapes": {"motorcycle": ("motorbike",)},  # RTTS
    "rtts": {"motorbike": ("motorcycle",)},
    "dawn": {"motorcycle": ("motorbike",)},
}


class ClassTable:
    """Which classes a converted set has, in order, and which number per name of the original gets.

    choice: one of LISTS, "all" (the set's own, sorted), or its own names in the wanted order, comma-separated; or a
    list of names, which holds whatever was found, as LISTS do. found: names of the set's objects. listed: further names
    that `choice` may give, of which there is no object. A name is looked up as it is, else without case. Raises
    UserError for names that the set does not have, or that are empty or repeated.
    """

    def __init__(self, choice: str | Sequence[str], found: Iterable[str], listed: Iterable[str] = ()) -> None:
        present, own = sorted(set(found) - {""}), isinstance(choice, str) and choice not in LISTS
        self.names = _chosen(choice, present)
        self._exact = {name: number for number, name in reversed([*enumerate(self.names)])}
        self._numbers = {name.lower(): number for name, number in self._exact.items()}
        if own:
            self._check(str(choice), sorted({*present, *listed} - {""}))
        elif isinstance(choice, str):
            others = SAME_THING.get(choice, {}).items()
            self._numbers |= {other: self._numbers[name] for name, same in others for other in same}

    def _check(self, choice: str, known: Sequence[str]) -> None:
        """Raise UserError where a wanted name is not among the known ones, or stands for the same class as another."""
        lower = {name.lower() for name in known}
        missing = [name for name in self.names if name.lower() not in lower]
        alike = [names for names in same_but_case(self.names) if not set(names) <= set(known)]
        if missing or alike or not self.names or len(self._exact) < len(self.names):
            raise UserError(
                f"--classes {choice}: {', '.join(missing) or 'a repeated or empty name'} cannot be used; the set has "
                f"{', '.join(known) or 'no objects'}. Give some of these, 'all', or a list: {', '.join(LISTS)}."
            )

    def number(self, name: str) -> int | None:
        """The class number of an original name, or None where the class is not wanted."""
        return self._exact.get(name, self._numbers.get(name.lower()))


def _chosen(choice: str | Sequence[str], present: Sequence[str]) -> list[str]:
    """The names of a choice, in order. present: all that the set has objects of."""
    if not isinstance(choice, str) or choice in LISTS:
        return list(LISTS[choice] if isinstance(choice, str) else choice)
    named = [name.strip() for name in choice.split(",") if name.strip()]
    return list(present) if choice == "all" else named


def same_but_case(names: Iterable[str]) -> list[list[str]]:
    """The names that differ in case only, each such group in its order."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(name.lower(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
