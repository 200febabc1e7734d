"""Options of RichSem. Kept apart from the method so that `--help` needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.config import DataKey
from methods.spec import Command
from utils.options import Group

GROUP = Group("RichSem (--method richsem)", tasks=("detect",))


@dataclass(frozen=True)
class RichSemOptions:
    """Soft labels of a frozen CLIP for every object; needs a teacher cache. See docs/methods/richsem.md."""

    teacher: Path | None = GROUP.option(None, "teacher cache made by 'prepare.py teacher'", shown="by the data YAML")
    semantic_weight: float = GROUP.option(0.5, "weight of the KL divergence to the teacher (published 0.5)", low=0.0)


RICHSEM_COMMANDS = {
    "teacher": Command(
        "Cache CLIP embeddings of a training set's objects: the soft labels of --method richsem.",
        "engine.options.prepare:TeacherOptions",
        "engine.preparation.soft_labels:teacher",
        first="data",
    )
}
RICHSEM_KEYS = (DataKey("teacher", option=True),)
