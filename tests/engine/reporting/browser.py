"""Headless Chromium through chromedriver's WebDriver protocol, with nothing but the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]


class Browser:
    """One headless browser; `requests` and `errors` tell what the page asked for and complained about."""

    def __init__(self, width: int = 1440, height: int = 1000) -> None:
        self.port = free_port()
        self.driver = subprocess.Popen(
            [str(shutil.which("chromedriver")), f"--port={self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        options = {"args": [*ARGUMENTS, f"--window-size={width},{height}"], "binary": find_chromium()}
        always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            self.wait()
            self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": always}}, whole=True)[
                "sessionId"
            ]
        except BaseException:
            self.driver.kill()
            raise

    def wait(self) -> None:
        """Until the driver answers."""
        for _ in range(300):
            try:
                if self.call("GET", "/status")["ready"]:
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise TimeoutError("chromedriver does not answer")

    def call(self, method: str, path: str, body: Any = None, *, whole: bool = False) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return json.loads(answer.read())["value"]

    def of(self, method: str, path: str, body: Any = None) -> Any:
        return self.call(method, f"/session/{self.session}{path}", body)

    def open(self, file: Path) -> None:
        self.of("POST", "/url", {"url": file.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.of("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.of("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def logs(self) -> tuple[list[str], list[str]]:
        """Addresses that were asked for besides the file itself and data, and messages of the console."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.of("POST", "/se/log", {"type": "performance"})
        ]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        console = [entry["message"] for entry in self.of("POST", "/se/log", {"type": "browser"})]
        return [url for url in asked if not url.startswith(("data:", "file:///"))], console

    def size(self, width: int, height: int = 1000, scale: float = 1.0) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)

    def theme(self, name: str) -> None:
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, target: Path) -> None:
        target.write_bytes(base64.b64decode(self.of("GET", "/screenshot")))

    def pdf(self, target: Path) -> None:
        options = {"background": False, "page": {"width": 21.0, "height": 29.7}, "shrinkToFit": True}
        target.write_bytes(base64.b64decode(self.of("POST", "/print", options)))

    def close(self) -> None:
        try:
            self.of("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_chromium() -> str | None:
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def open_browser() -> Browser:
    """A browser; the test is skipped where none is installed."""
    if not (find_chromium() and shutil.which("chromedriver")):
        pytest.skip("no chromium with chromedriver on this machine (Debian: apt-get install chromium chromium-driver)")
    return Browser()
