"""`--line` and `--zone`: names and points, checked before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.options.detect import DetectOptions
from utils.errors import UserError

Point: TypeAlias = tuple[float, float]

SPELLING = re.compile(r"([^=@,/+#\x00-\x1f]{1,60})(?:@([1-9][0-9]{0,5}))?=(.*)", re.DOTALL)
EXPECTED = {"line": "NAME=x1,y1,x2,y2", "zone": "NAME=x1,y1,x2,y2,x3,y3,..."}


@dataclass(frozen=True)
class Region:
    """A line (two points) or a zone (a polygon) of the image.

    points: (x, y) each, px, or fractions of width and height where all lie in [0, 1]. source: number of the source in the
    plan, from 1, that it belongs to; 0: to all.
    """

    kind: str
    name: str
    points: tuple[tuple[float, float], ...]
    source: int = 0

    @property
    def called(self) -> str:
        """How messages call it."""
        return f"--{self.kind} {self.name}" + (f"@{self.source}" if self.source else "")

    def pixels(self, width: int, height: int) -> NDArray[np.float32]:
        """Its points (k, 2) in an image of this size, px. Raises UserError where one lies outside."""
        points = np.array(self.points, np.float32)
        if (points <= 1).all():
            return points * np.array([width, height], np.float32)
        for x, y in self.points:
            if x > width or y > height:
                raise UserError(
                    f"{self.called}: the point {x:g},{y:g} lies outside the image of {width} x {height} px. Correct it, give "
                    f"fractions of the image (0 to 1), or name the source that it belongs to: {self.name}@2=..."
                )
        return points


def read_regions(options: DetectOptions, firsts: Sequence[int] = ()) -> tuple[Region, ...]:
    """The lines and zones that options ask for. firsts: of each source, see SourcePlan.firsts; empty: not known yet.

    Raises UserError for one that cannot be, or belongs to no source, and for two of one name.
    """
    texts = [("line", text) for text in options.line] + [("zone", text) for text in options.zone]
    regions = tuple(read_region(kind, text) for kind, text in texts)
    if regions and options.track == "none":
        raise UserError(
            f"{regions[0].called}: counts objects with identities. Add --track bytetrack, or another tracker."
        )
    for place, one in enumerate(regions):
        if one.source and firsts:
            _check_source(one, firsts)
        for other in regions[:place]:
            alike = (one.kind, one.name) == (other.kind, other.name)
            if alike and (one.source == other.source or not one.source or not other.source):
                raise UserError(f"--{one.kind} {one.name}: there are two {one.kind}s of this name. Rename one of them.")
    return regions


def _check_source(region: Region, firsts: Sequence[int]) -> None:
    """Raise UserError for a region of a source that is not there, or that is one of the later images of a folder."""
    if region.source > len(firsts):
        raise UserError(
            f"{region.called}: there is no source {region.source}. --source names {len(firsts)}; count from 1."
        )
    first = firsts[region.source - 1]
    if first != region.source:
        raise UserError(
            f"{region.called}: source {region.source} is an image that is counted together with others of its folder. "
            f"Name the first of them, {region.name}@{first}=..., or no source."
        )


def read_region(kind: str, text: str) -> Region:
    """`NAME=x1,y1,...` or `NAME@SOURCE=...`. Raises UserError."""
    found = SPELLING.fullmatch(text.strip())
    if found is None or not found[1].strip():
        raise UserError(f"--{kind} {text}: expected {EXPECTED[kind]}, such as gate=0.1,0.5,0.9,0.5.")
    region = Region(kind, found[1].strip(), _points(kind, text, found[3]), int(found[2] or 0))
    _check_shape(region)
    return region


def _points(kind: str, text: str, numbers: str) -> tuple[tuple[float, float], ...]:
    """Pairs of numbers. Raises UserError where they are none, or none that an image has."""
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if not values or len(values) % 2 or not all(map(math.isfinite, values)):
        raise UserError(f"--{kind} {text}: expected {EXPECTED[kind]}: pairs of numbers, separated by commas.")
    if min(values) < 0:
        raise UserError(f"--{kind} {text}: {min(values):g} lies outside the image. Pixels and fractions count from 0.")
    if max(values) > 1 and any(0 < value < 1 for value in values):
        raise UserError(
            f"--{kind} {text}: mixes fractions of the image (0 to 1) with pixels. Give all numbers in one of the two."
        )
    return tuple(zip(values[::2], values[1::2], strict=True))


def _check_shape(region: Region) -> None:
    """Raise UserError for a line that is not two points apart, or a zone without an area."""
    count = len(region.points)
    if region.kind == "line" and (count != 2 or region.points[0] == region.points[1]):
        raise UserError(f"{region.called}: a line has two different points, {EXPECTED['line']}; here: {count}.")
    if region.kind == "zone" and count < 3:
        raise UserError(f"{region.called}: a zone has three points or more, {EXPECTED['zone']}; here: {count}.")
    if region.kind == "zone" and crosses_itself(region.points):
        raise UserError(f"{region.called}: its sides cross. Give its corners in their order around it.")
    if region.kind == "zone" and abs(area(region.points)) < 1e-9:
        raise UserError(f"{region.called}: its points lie on one line, so that nothing is inside. Correct them.")


def area(points: Sequence[tuple[float, float]]) -> float:
    """Signed area of a polygon (shoelace formula).

    >>> area([(0, 0), (4, 0), (4, 3)])
    6.0
    """
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2


def crosses_itself(points: Sequence[tuple[float, float]]) -> bool:
    """Whether two sides of a polygon cross each other between their ends.

    >>> crosses_itself([(0, 0), (1, 1), (1, 0), (0, 1)])
    True
    """
    sides = list(zip(points, [*points[1:], points[0]], strict=True))
    return any(_cross(*one, *other) for place, one in enumerate(sides) for other in sides[:place])


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the ways from a to b and from c to d cross between their ends."""
    return area([a, b, c]) * area([a, b, d]) < 0 and area([c, d, a]) * area([c, d, b]) < 0
