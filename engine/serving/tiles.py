"""The latest frame of each source, as a viewer gets it: a JPEG, made when somebody looks, once for all who do."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from engine.tracking.result import TrackingResult

QUALITY = 80  # of JPEG, 1 to 100
WIDTHS = (
    (1, 1280),
    (4, 640),
    (9, 480),
)  # (sources up to which, width of a tile in pixels); more sources have NARROWEST
NARROWEST = 360
FOCUSED = 1280  # width of a tile that a viewer enlarges
MOST_BOXES = 500  # that are drawn of one frame


@dataclass(frozen=True)
class Tile:
    """A detected frame of source number `order`. image: (H, W, 3) uint8; boxes: (n, 6), see TrackingResult for `seen`."""

    order: int
    number: int
    image: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)
    seen: TrackingResult = TrackingResult()

    def message(self, width: int) -> bytes:
        """A JPEG no wider than `width`, with what is drawn over it: length of a JSON header (4 bytes), header, JPEG."""
        image = reduced(self.image, width)
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        head = json.dumps(self.header(), separators=(",", ":")).encode()
        return len(head).to_bytes(4, "big") + head + coded.tobytes()

    def header(self) -> dict[str, Any]:
        """Source, frame number, and boxes [x1, y1, x2, y2 as fractions of the image, confidence, class, identity]."""
        height, width = self.image.shape[:2]
        scale = np.array([width, height, width, height], np.float64)
        boxes = self.boxes[:MOST_BOXES]
        ids = self.seen.ids.tolist() or [0] * len(boxes)
        places = np.round(boxes[:, :4] / scale, 4).tolist()
        found = [
            [*place, round(score, 2), int(number), identity]
            for place, (score, number), identity in zip(places, boxes[:, 4:6].tolist(), ids, strict=False)
        ]
        return {"order": self.order, "number": self.number, "boxes": found}


def reduced(image: np.ndarray, width: int) -> np.ndarray:
    """An image no wider than `width` px, and no higher than four times that: JPEG ends at 65,535."""
    height, own = image.shape[:2]
    factor = min(1.0, width / own, 4 * width / height)
    if factor == 1.0:
        return image
    size = max(1, round(own * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 0.5 else cv2.INTER_LINEAR)


class Tiles:
    """The latest tile of each source. The detection loop puts, viewers' threads get; nobody waits for anybody."""

    def __init__(self, sources: int) -> None:
        self.width = next((width for most, width in WIDTHS if sources <= most), NARROWEST)
        self._lock = threading.Lock()
        self._tiles: dict[int, tuple[int, Tile]] = {}  # order -> version, tile
        self._coded: dict[tuple[int, int], tuple[int, bytes]] = {}  # order, width -> version, message
        self.version = 0
        self.counts: dict[int, TrackingResult] = {}

    def put(self, tile: Tile) -> None:
        """A new frame takes the place of its source's last one."""
        with self._lock:
            self.version += 1
            self._tiles[tile.order] = self.version, tile
            self.counts[tile.order] = tile.seen

    def versions(self) -> Mapping[int, int]:
        """Source -> version of its latest tile; versions grow."""
        with self._lock:
            return {order: version for order, (version, _) in self._tiles.items()}

    def coded(self, order: int, width: int) -> tuple[int, bytes] | None:
        """(version, message) of a source's latest tile where that was made already, see Tile.message."""
        with self._lock:
            known = self._coded.get((order, width))
            return known if known is not None and known[0] == self._tiles[order][0] else None

    def message(self, order: int, width: int) -> tuple[int, bytes]:
        """(version, message) of a source's latest tile, see Tile.message. Called from one thread only."""
        known = self.coded(order, width)
        if known is None:
            with self._lock:
                version, tile = self._tiles[order]
            known = version, tile.message(width)
            with self._lock:
                self._coded[order, width] = known
        return known
