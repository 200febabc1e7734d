"""What a run tells its callbacks, in which order, and what one that fails does to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.callbacks import Callback, Callbacks, RunInfo
from engine.results import Report
from tests.engine.tiny import write_dataset
from utils.errors import UserError


class Listener(Callback):
    """Notes every call."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.row: dict[str, Any] = {}
        self.run: RunInfo | None = None

    def on_start(self, run: RunInfo) -> None:
        self.run = run
        self.heard.append("start")

    def on_batch(self, epoch: int, batch: int, losses: Mapping[str, Any]) -> None:
        self.heard.append(f"batch {epoch} {batch}")
        assert float(losses["box_loss"]) >= 0

    def on_validation(self, epoch: int, reports: Sequence[Report]) -> None:
        self.heard.append(f"validation {epoch} {reports[0].condition}")

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        self.heard.append(f"epoch {row['epoch']}")
        self.row = dict(row)

    def on_end(self, reports: Sequence[Report]) -> None:
        self.heard.append(f"end {len(reports)}")


class Broken(Callback):
    """Fails at every batch."""

    optional = True
    calls = 0

    def on_batch(self, epoch: int, batch: int, losses: Mapping[str, Any]) -> None:
        self.calls += 1
        raise OSError("the tracker is gone")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_dataset(tmp_path_factory.mktemp("tiny"), images=8) | {"method": "none"}


def test_a_run_calls_in_order_and_survives_a_broken_listener(tiny: dict[str, Any], caplog: Any) -> None:
    """8 images in batches of 4: two batches an epoch."""
    listener, broken = Listener(), Broken()
    with caplog.at_level(logging.WARNING, "hardsight"):
        result = engine.train(**tiny, epochs=1, callbacks=[broken, listener])
    expected = ["start", "batch 0 0", "batch 0 1", "validation 0 night", "epoch 1", "end 2"]
    assert listener.heard == expected and broken.calls == 1
    assert listener.row == result.rows[0] and listener.run is not None and listener.run.batches == 2
    notes = [record.message for record in caplog.records if "Broken" in record.message]
    assert notes == ["note: Broken failed and is off from here on: the tracker is gone"]


def test_the_error_of_a_callback_ends_the_run_and_the_others_hear_its_end(tiny: dict[str, Any]) -> None:
    listener, broken = Listener(), Broken()
    broken.optional = False
    with pytest.raises(OSError, match="gone"):
        engine.train(**tiny, epochs=1, callbacks=[listener, broken])
    assert listener.heard == ["start", "batch 0 0", "end 0"]


def test_callbacks_cannot_follow_into_other_processes(tiny: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="torchrun"):
        engine.train(**{**tiny, "device": "cpu,cpu"}, callbacks=[Callback()])


def test_a_failure_without_words_is_named_by_its_type(caplog: Any) -> None:
    class Silent(Broken):
        def on_epoch(self, row: Mapping[str, Any]) -> None:
            raise ValueError

    hub = Callbacks([Silent()])
    with caplog.at_level(logging.WARNING, "hardsight"):
        hub.tell("on_epoch", {"epoch": 1})
    assert hub.callbacks == [] and "ValueError" in caplog.text


def test_a_callback_does_nothing_by_itself(tmp_path: Path) -> None:
    hub = Callbacks([Callback()])
    hub.tell("on_start", RunInfo(tmp_path, {}, epochs=1, batches=1, key="a"))
    hub.tell("on_end", [])
    assert list(tmp_path.iterdir()) == []
