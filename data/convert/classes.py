"""Class names across data sets: ExDark's twelve, and what VOC and COCO call them."""

from __future__ import annotations

from collections.abc import Iterable

from utils.files import UserError

EXDARK = ("bicycle", "boat", "bottle", "bus", "car", "cat", "chair", "cup", "dog", "motorbike", "people", "table")

# ExDark name -> names of the same thing in VOC and COCO. VOC has no cup. Compared without case.
SAME_THING = {
    "motorbike": ("motorcycle",),  # COCO
    "people": ("person",),  # VOC, COCO
    "table": ("diningtable", "dining table"),  # VOC, COCO
}
_TO_EXDARK = {other: name for name, others in SAME_THING.items() for other in others} | {name: name for name in EXDARK}


class ClassTable:
    """Which classes a converted set has, in order, and which number a name of the original gets.

    choice: "exdark" (the twelve), "all" (the set's own, sorted), or its own names in the wanted order, comma-separated.
    """

    def __init__(self, choice: str, found: Iterable[str]) -> None:
        present = sorted(set(found))
        if choice == "exdark":
            self.names = list(EXDARK)
            self._numbers = {name: EXDARK.index(target) for name, target in _TO_EXDARK.items()}
            return
        self.names = present if choice == "all" else [name.strip() for name in choice.split(",") if name.strip()]
        self._numbers = {name.lower(): number for number, name in enumerate(self.names)}
        missing = [name for name in self.names if name.lower() not in {other.lower() for other in present}]
        if missing or not self.names or len(self._numbers) < len(self.names):
            raise UserError(
                f"--classes {choice}: {', '.join(missing) or 'a repeated or empty name'} cannot be used; the set has "
                f"{', '.join(present) or 'no objects'}. Give some of these, 'all' or 'exdark'."
            )

    def number(self, name: str) -> int | None:
        """The class number of an original name, or None where the class is not wanted."""
        return self._numbers.get(name.lower())
