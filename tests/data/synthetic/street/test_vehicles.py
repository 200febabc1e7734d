"""Cars, buses, motorbikes and bicycles: as large as they say, the same for the same looks, lit only when asked to be."""

from __future__ import annotations

import numpy as np
import pytest

from data.synthetic.render.primitives import Model
from data.synthetic.render.rasterizer import Solid
from data.synthetic.street.vehicles import BUILDERS, CABINS
from tests.data.synthetic.extent import extent

VEHICLES: list[tuple[str, float, float]] = [  # name, least and greatest length in metres
    ("bicycle", 1.6, 1.9),
    ("bus", 8.4, 10.6),
    ("car", 3.6, 4.9),
    ("motorbike", 1.9, 2.3),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "least", "most"), VEHICLES)
def test_vehicles_have_their_size(name, least, most, seed):
    model = BUILDERS[name](np.random.default_rng(seed), False)
    low, high = extent(model)
    assert least <= high[0] - low[0] <= most + 0.15
    assert low[1] >= -0.02
    assert high[1] == pytest.approx(model.size[1], abs=0.2)
    assert low[2] == pytest.approx(-high[2], abs=0.25)


@pytest.mark.parametrize("name", [row[0] for row in VEHICLES])
def test_only_lit_vehicles_shine(name):
    dark, lit = (BUILDERS[name](np.random.default_rng(1), switch) for switch in (False, True))
    assert dark.lamps == ()
    assert any(lamp.aim is not None and lamp.aim[0] > 0.9 for lamp in lit.lamps)  # a beam ahead
    assert any(lamp.colour[0] > 5 * lamp.colour[1] for lamp in lit.lamps)  # red behind
    shining = [any(sum(material.emission) for material in _materials(model)) for model in (dark, lit)]
    assert shining == [False, True]


def _materials(model: Model) -> list:
    return [m for shape in model.shapes for m in (shape.materials if isinstance(shape, Solid) else (shape.material,))]


@pytest.mark.parametrize("name", list(BUILDERS))
def test_same_looks_same_vehicle(name):
    first, again, other = (str(BUILDERS[name](np.random.default_rng(seed), True)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", list(BUILDERS))
def test_lights_change_nothing_but_light(name):
    """Shapes, corners and colours of a lit vehicle are those of a dark one: day and night show one object."""
    dark, lit = (BUILDERS[name](np.random.default_rng(7), switch) for switch in (False, True))
    shared = len(dark.shapes)  # a lit bicycle has a lamp more, at the end
    for a, b in zip(dark.shapes, lit.shapes[:shared], strict=True):
        if isinstance(a, Solid):
            assert (a.points == b.points).all()
            assert [m.colour for m in a.materials] == [m.colour for m in b.materials]
        else:
            assert a == b


def test_cars_come_in_several_shapes():
    lengths, roofs = zip(*(BUILDERS["car"](np.random.default_rng(s), False).size[:2] for s in range(40)), strict=True)
    assert set(roofs) == {cabin[0] for cabin in CABINS.values()}
    assert np.ptp(lengths) > 0.6


def test_paints_vary():
    """Forty cars: no colour rules."""
    colours = [BUILDERS["car"](np.random.default_rng(s), False).shapes[-1].materials[0].colour for s in range(40)]
    brightest = np.argmax(np.array(colours), axis=1)
    assert min(np.bincount(brightest, minlength=3)) >= 3
