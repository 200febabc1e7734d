"""All that listens to the results of a run: a file or standard output, and a broker."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.messages.frame import FrameInfo, event_message, frame_message
from engine.messages.json_lines import JsonLines, to_json
from engine.messages.mqtt import Publisher, check_package, read_broker
from engine.options.detect import DetectOptions
from engine.tracking.result import TrackingResult
from utils.errors import UserError


def check_messages(options: DetectOptions) -> None:
    """Raise UserError for what cannot be written or published, before anything is loaded."""
    if options.publish:
        read_broker(options.publish)
        check_package()


class Outbox:
    """Sends what is known of each frame to --save-jsonl and --publish. Use it as a context manager.

    Raises UserError for a file that cannot be written and for a broker that refuses.
    """

    def __init__(self, options: DetectOptions, names: Mapping[int, str]) -> None:
        self.names = names
        self.lines = JsonLines(options.save_jsonl, append=options.exist_ok) if options.save_jsonl else None
        try:
            self.publisher = Publisher(options.publish) if options.publish else None
        except UserError:
            self._close_lines()
            raise

    @property
    def any(self) -> bool:
        """Whether anything is sent at all."""
        return self.lines is not None or self.publisher is not None

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *problem: object) -> None:
        self._close_lines()
        if self.publisher is not None:
            self.publisher.close()

    def _close_lines(self) -> None:
        if self.lines is not None:
            self.lines.close()

    def send(self, info: FrameInfo, boxes: np.ndarray, seen: TrackingResult, live: bool = False) -> None:
        """One frame. boxes: (n, 6) x1 y1 x2 y2 px, confidence, class. live: of a stream, which a full disk does not end."""
        if not self.any:
            return
        message = frame_message(info, boxes, seen, self.names)
        if self.lines is not None:
            self.lines.write(message, go_on=live)
        if self.publisher is not None:
            for event in seen.events:
                self.publisher.put(f"{info.order}/event", to_json(event_message(info, event)))
            self.publisher.put(f"{info.order}/frame", to_json(message))
