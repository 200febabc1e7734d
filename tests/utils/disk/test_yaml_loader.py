"""YAML files that mean something else than they say, or take minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.disk import yaml_loader
from utils.errors import UserError
from utils.files import load_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: a\nval: b\ntrain: c\n", ":3: not valid YAML: the key 'train' stands twice."),
        ("names: {0: a, 0: b}\n", ":1: not valid YAML: the key '0' stands twice."),
        ("a: &a [x, x]\n" + f"b: [{', '.join(['*a'] * 60)}]\n", "more than 50 aliases"),
        ("a: " + "[" * 5000 + "]" * 5000, "nests too deeply"),
    ],
)
def test_yaml_that_does_not_mean_what_it_says(tmp_path, text, expected):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError) as problem:
        load_yaml(tmp_path / "x.yaml")
    assert expected in str(problem.value)


def test_a_yaml_that_takes_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_loader, "MOST_VALUES", 12)  # the mapping, its key, the list and what is in it
    (tmp_path / "a.yaml").write_text(f"a: [{'1,' * 9}]\n")
    assert load_yaml(tmp_path / "a.yaml") == {"a": [1] * 9}
    (tmp_path / "a.yaml").write_text(f"a: [{'1,' * 10}]\n")
    with pytest.raises(UserError, match=r"a\.yaml:1: not valid YAML: more than 12 values"):
        load_yaml(tmp_path / "a.yaml")


def test_aliases_and_merged_keys_are_read(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert load_yaml(tmp_path / "x.yaml")["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    "value", ["!!int ''", "2001-99-99", "!!float x", "!!bool maybe", 5000 * "9", "1" + 200_000 * ":59"]
)
def test_a_yaml_value_that_is_none(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"a: {value}\n")
    with pytest.raises(UserError, match="cannot be read"):
        load_yaml(tmp_path / "a.yaml")
