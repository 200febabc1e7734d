"""Tracks as MOTChallenge rows."""

from __future__ import annotations

import numpy as np

from engine.tracking.mot import MotWriter

BOXES = np.array([[9, 19, 29.5, 59, 0.9, 0], [0, 0, 5, 5, 0.5, 1]], np.float32)


def test_rows(tmp_path):
    writer = MotWriter(tmp_path / "mot")
    writer.save("1: clip.mp4", "clip", 3, BOXES, np.array([7, 0]))
    writer.save("1: clip.mp4", "clip", 6, BOXES, np.array([7, 8]))
    assert (tmp_path / "mot/clip.txt").read_text().splitlines() == [
        "3,7,10.00,20.00,20.50,40.00,0.9000,-1,-1,-1",
        "6,7,10.00,20.00,20.50,40.00,0.9000,-1,-1,-1",
        "6,8,1.00,1.00,5.00,5.00,0.5000,-1,-1,-1",
    ]


def test_names_are_unique(tmp_path):
    (tmp_path / "a.txt").write_text("of an earlier run")
    writer = MotWriter(tmp_path)
    for sequence, number in (("x/a", 1), ("y/A", 1), ("x/a", 4)):
        writer.save(sequence, sequence[-1], number, BOXES[:1], np.array([1]))
    rows = {path.name: path.read_text().splitlines() for path in tmp_path.iterdir()}
    assert {name: [row.split(",")[0] for row in found] for name, found in rows.items()} == {
        "a.txt": ["1", "4"],
        "A_2.txt": ["1"],
    }
