"""engine.options.selection: train.py --help lists what the chosen task and methods use."""

from __future__ import annotations

import pytest

from engine.options.selection import used_options
from utils.errors import UserError


@pytest.mark.parametrize(
    ("given", "listed", "missing"),
    [
        ({}, {"epochs", "mosaic", "repeat_threshold"}, {"byol_weight", "rf", "select", "frames"}),
        ({"method": "none"}, {"epochs", "mosaic"}, {"byol_weight", "rf"}),
        ({"method": "wiid+rfla"}, {"epochs", "mosaic", "byol_weight", "rf"}, {"restore_weight", "select"}),
        ({"data": "demo-night"}, {"mosaic", "byol_weight"}, {"rf", "select"}),  # its method is wiid
        ({"data": "demo-night", "method": "none"}, {"mosaic"}, {"byol_weight"}),
        ({"data": "demo-codan"}, {"select", "byol_weight", "use_mmd"}, {"mosaic", "front_ratio", "frames"}),
        ({"data": "demo-arid"}, {"select", "frames", "fliplr", "front_ratio"}, {"mosaic", "use_mmd", "crops"}),
    ],
)
def test_options_in_use(given, listed, missing):
    names = {option.name for option in used_options(given)}
    assert listed <= names and not missing & names


def test_defaults_are_those_of_the_task():
    detect, classify = (
        {option.name: option.default for option in used_options(given)} for given in ({}, {"data": "demo-codan"})
    )
    assert (detect["imgsz"], classify["imgsz"]) == (640, 224)
    assert (detect["optimizer"], classify["optimizer"]) == ("SGD", "Adam")


@pytest.mark.parametrize(
    ("given", "message"), [({"method": "rlfa"}, "Did you mean 'rfla'"), ({"data": "nowhere"}, "nowhere")]
)
def test_what_does_not_exist(given, message):
    with pytest.raises(UserError, match=message):
        used_options(given)
