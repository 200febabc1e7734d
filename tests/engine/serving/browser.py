"""A headless Chromium, driven through ChromeDriver's own HTTP interface (W3C WebDriver)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
)


class Browser:
    """One window. console: what pages said in error."""

    def __init__(self, driver: str, size: tuple[int, int]) -> None:
        self.session = ""
        self.driver = driver
        options = {"args": [*ARGUMENTS, f"--window-size={size[0]},{size[1]}"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self.call("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/{made['sessionId']}"
        inside = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
        self.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": inside})

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One command; its value."""
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.driver}/session{self.session}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as problem:
            raise AssertionError(problem.read().decode()[:500]) from None

    def open(self, address: str) -> None:
        self.call("POST", "/url", {"url": address})

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives."""
        return self.call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def wait(self, script: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true."""
        limit = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < limit, (
                f"never true: {script}\n{self.run('document.body.innerText')}\n{self.console()}"
            )
            time.sleep(0.1)
        return found

    def console(self) -> list[str]:
        """Errors of the page since the last call."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(b64decode(self.call("GET", "/screenshot")))


@contextmanager
def browser(size: tuple[int, int] = (1440, 900)) -> Iterator[Browser]:
    """A browser, or a skipped test where there is none."""
    program = shutil.which("chromedriver")
    if program is None or not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("Chromium and ChromeDriver are not installed (Debian: chromium chromium-driver)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([program, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            limit = time.monotonic() + 20
            while time.monotonic() < limit:
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5):
                    break
                time.sleep(0.1)
            window = Browser(f"http://127.0.0.1:{port}", size)
            try:
                yield window
            finally:
                window.call("DELETE", "")
        finally:
            driver.terminate()
