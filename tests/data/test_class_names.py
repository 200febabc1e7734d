"""Class names that a network's file holds; those of data YAMLs: test_config.py."""

from __future__ import annotations

import pytest

from data.class_names import stored_names


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["cat", "dog"], {0: "cat", 1: "dog"}),
        ({"1": "dog", 0: 7}, {0: "7", 1: "dog"}),
        ({0: "a\ud800\n"}, {0: "a\ufffd\ufffd"}),  # no console has half a letter
        ([300 * "x"], {0: 200 * "x"}),
        ({True: "a"}, None),
        ({"\u00b2": "a"}, None),
        (3, None),
        ([], None),
    ],
)
def test_names_of_a_network(found, expected):
    assert stored_names(found) == expected
