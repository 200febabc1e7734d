"""What --weather says: which degradations, one or several after another, come upon which fraction of the images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from data.degrade import DEGRADATIONS
from utils.errors import UserError, suggestion

SHORT = {"night": "low_light", "motion": "motion_blur", "defocus": "defocus_blur"}  # as in `prepare.py degrade`
PRESETS = {
    "street": "low_light=0.2 low_light+rain=0.1 fog=0.15 rain=0.1 snow=0.05 motion_blur=0.05 low_light+motion_blur=0.05",
    "camera-ir": "infrared=0.4 infrared+jpeg=0.1 infrared+motion_blur=0.1 low_light=0.05 rain=0.05",
    "sea": "underwater=0.5 underwater+defocus_blur=0.1 underwater+read_noise=0.1",
    "drone": "motion_blur=0.15 fog=0.1 low_resolution=0.15 defocus_blur=0.1 low_light=0.1 jpeg=0.1",
    "general": "defocus_blur=0.07 motion_blur=0.07 low_resolution=0.06 shot_noise=0.06 read_noise=0.06 impulse_noise=0.04 "
    "jpeg=0.06 contrast=0.06 fog=0.06 snow=0.04 rain=0.03 low_light=0.04",
}
SLACK = 1e-6  # of the sum of the fractions


@dataclass(frozen=True)
class Part:
    """One entry of a mix: degradations in the order in which they happen, and the fraction of the images they come upon."""

    models: tuple[str, ...]
    fraction: float

    def __str__(self) -> str:
        return f"{'+'.join(self.models)}={self.fraction:g}"


Mix = tuple[Part, ...]


def parse_mix(text: str, option: str = "--weather") -> Mix:
    """The mix of a text such as `low_light=0.4 fog+rain=0.2` or `street`; `street=0.3 infrared=0.2` scales a preset.

    Entries are separated by spaces or commas, the fraction by = or :. Each image gets one entry or stays clean, so that
    fractions add up to 1 at most. Raises UserError for an unknown name (the nearest is offered), a fraction that is no number
    in (0, 1], a name without one, or a sum above 1.

    >>> [str(part) for part in parse_mix("fog:0.25,rain+jpeg=0.5")]
    ['fog=0.25', 'rain+jpeg=0.5']
    """
    entries = [entry for word in re.split(r"[\s,]+", text.strip()) if word for entry in _entries(word, option)]
    if not entries:
        raise UserError(
            f"{option} {text!r}: names no degradation. Expected such as 'low_light=0.4 fog=0.2', or {presets()}."
        )
    total = sum(part.fraction for part in entries)
    if total > 1 + SLACK:
        raise UserError(
            f"{option} {text}: the fractions add up to {total:g}, more than all images. Lower them to 1 or less; what "
            "is left stays clean."
        )
    return tuple(entries)


def presets() -> str:
    """The presets, for messages."""
    return f"one of the presets {', '.join(PRESETS)}"


def _entries(word: str, option: str) -> list[Part]:
    """What one word stands for; option: for messages."""
    name, _, number = re.sub(":", "=", word).partition("=")
    if name.lower() in PRESETS:
        parts = [part for entry in PRESETS[name.lower()].split() for part in _entries(entry, option)]
        scale = _fraction(word, number, option) / sum(part.fraction for part in parts) if number else 1.0
        return [replace(part, fraction=part.fraction * scale) for part in parts]
    models = tuple(_model(word, one, option) for one in name.split("+"))
    if not number:
        raise UserError(
            f"{option} {word}: says nothing of how many images. Write {name}=0.3 for three in ten, or {presets()}."
        )
    return [Part(models, _fraction(word, number, option))]


def _model(word: str, name: str, option: str) -> str:
    plain = SHORT.get(name.lower(), name.lower())
    if plain not in DEGRADATIONS:
        known = [*DEGRADATIONS, *SHORT]
        near = suggestion(name, [*known, *PRESETS])
        raise UserError(
            f"{option} {word}: there is no degradation {name!r}.{near} Expected one of {', '.join(known)}, or {presets()}."
        )
    return plain


def _fraction(word: str, text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number <= 1:
        raise UserError(f"{option} {word}: expected a fraction of the images above 0 and up to 1, not {text!r}.")
    return number


def parse_range(text: str) -> tuple[float, float] | None:
    """Ends of a range of severities: `0.3-1`, or `0.5` for one; None for the empty text. Raises UserError for others.

    >>> parse_range("0.3-1")
    (0.3, 1.0)
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d*\.?\d+)(?:-(\d*\.?\d+))?", text.strip(), re.ASCII)
    low, high = (float(found[1]), float(found[2] or found[1])) if found else (1.0, 0.0)
    if not 0 <= low <= high <= 1:
        raise UserError(
            f"--weather-severity {text}: expected a range in 0 to 1, such as 0.3-1, or one number such as 0.5."
        )
    return low, high


def describe(mix: Iterable[Part]) -> str:
    """A mix in words: what becomes of the images, the most frequent first."""
    parts = sorted(mix, key=lambda part: -part.fraction)
    clean = 1 - sum(part.fraction for part in parts)
    words = [f"{part.fraction:.0%} {' + '.join(part.models)}" for part in parts]
    return ", ".join([*words, f"{clean:.0%} clean"] if clean > SLACK else words)
