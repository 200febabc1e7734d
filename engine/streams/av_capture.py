"""Streams opened with PyAV, behind the methods of `cv2.VideoCapture`.

OpenCV opens one source at a time in the whole process, videos that are written too (a lock inside it): a camera that accepts
a connection and stays silent holds up every other source that is opened meanwhile, for its whole time limit. PyAV does not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np

PROTOCOLS = "crypto,data,hls,http,httpproxy,https,rtmp,rtmps,rtmpt,rtp,rtsp,srtp,tcp,tls,udp"  # no file, whatever a playlist says


@cache
def has_av() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


class AvCapture:
    """A stream of frames from an address. Of cv2.VideoCapture: isOpened, grab, retrieve, get and release.

    limit: seconds that connecting, and each frame, may take. transport: of RTSP, tcp or udp.
    """

    def __init__(self, address: str, limit: float, transport: str = "tcp") -> None:
        import av

        self._errors = (av.FFmpegError, OSError, ValueError)
        self._frame: Any = None
        options = {"protocol_whitelist": PROTOCOLS, "rtsp_transport": transport}
        try:
            self._container: Any = av.open(address, options=options, timeout=(limit, limit))
            self._stream = self._container.streams.video[0]
            if self._stream.codec_context is None:
                raise ValueError("a codec that this FFmpeg does not know")
            self._stream.codec_context.thread_count = 1  # several threads would hand each frame out later
            self._frames: Iterator[Any] = self._decoded()
        except (*self._errors, IndexError):
            self.release()

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether the stream was opened and holds video."""
        return self._container is not None

    def grab(self) -> bool:
        """Decode the next frame. False at the end, after a failure, and when none came in time."""
        self._frame = next(self._frames, None) if self._container is not None else None
        return self._frame is not None

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        """Whether there is a grabbed frame, and it as (H, W, 3) uint8, blue-green-red."""
        if self._frame is None:
            return False, None
        return True, self._frame.to_ndarray(format="bgr24")

    def get(self, what: int) -> float:
        """Frames per second, number of frames, width, height, or the grabbed frame's own time in ms; 0 if unknown."""
        if self._container is None:
            return 0.0
        if what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT):
            sized = self._frame or self._stream.codec_context
            return float(sized.width if what == cv2.CAP_PROP_FRAME_WIDTH else sized.height)
        if what == cv2.CAP_PROP_FPS:
            return float(self._stream.average_rate or 0)
        if what == cv2.CAP_PROP_FRAME_COUNT:
            return float(self._stream.frames)
        if what == cv2.CAP_PROP_POS_MSEC and self._frame is not None:
            return 1000.0 * (self._frame.time or 0.0)
        return 0.0

    def release(self) -> None:
        """Close the connection."""
        container, self._container, self._frame = getattr(self, "_container", None), None, None
        if container is not None:
            container.close()

    def _decoded(self) -> Iterator[Any]:
        """Frames in order; a damaged packet is passed over, anything else ends them."""
        import av

        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except av.InvalidDataError:
                    continue
        except self._errors:
            return
