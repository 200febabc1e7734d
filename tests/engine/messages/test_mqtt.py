"""Messages to a real broker, where mosquitto is installed: it comes, goes, refuses and returns."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engine.messages.mqtt
from engine.messages.mqtt import PASSWORD, Broker, Publisher, check_package, read_broker
from utils.errors import UserError

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("mqtt://host", Broker("mqtt://host", "host", 1883, False, "hardsight", "", "")),
        ("mqtts://host/a/b/", Broker("mqtts://host/a/b/", "host", 8883, True, "a/b", "", "")),
        ("mqtt://me:p%40ss@[::1]:99/x", Broker("mqtt://[::1]:99/x", "::1", 99, False, "x", "me", "p@ss")),
    ],
)
def test_addresses(address, expected):
    assert read_broker(address) == expected


def test_a_password_from_the_environment(monkeypatch):
    monkeypatch.setenv(PASSWORD, "geheim")
    assert read_broker("mqtt://me@host").password == "geheim"
    assert read_broker("mqtt://me:other@host").password == "other"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://me:secret@host", "--publish http://host: expected mqtt://HOST"),
        ("host", "--publish host: expected"),
        ("mqtt://", "expected mqtt://HOST"),
        ("mqtt://me:secret@host:port", "expected mqtt://HOST"),
        ("mqtt://me:secret@[host", "expected mqtt://HOST"),
        ("mqtt://me:secret@host/a?b=c", "expected mqtt://HOST"),
        ("mqtt://me:secret@host/a/%2B/b", "a topic holds no"),
    ],
)
def test_addresses_that_are_none(address, words):
    with pytest.raises(UserError, match=words) as problem:
        read_broker(address)
    assert "secret" not in str(problem.value)


def test_without_the_package_one_message(monkeypatch):
    monkeypatch.setattr(engine.messages.mqtt.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--publish: needs the package paho-mqtt.*pip install paho-mqtt"):
        check_package()


class Mosquitto:
    """A broker on a port of this machine that can be started again."""

    def __init__(self, folder: Path, *lines: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *(lines or ["allow_anonymous true"])]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([str(MOSQUITTO), "-c", str(self.config)], stderr=subprocess.DEVNULL)
        wait_for(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def wait_for(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class Listener:
    """All messages of a broker, as topic -> texts."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt

        self.got: dict[str, list[str]] = {}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        ready: list[int] = []
        self.client.on_subscribe = lambda *_: ready.append(1)
        self.client.on_message = lambda client, data, message: self.got.setdefault(message.topic, []).append(
            message.payload.decode()
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_for(lambda: bool(ready))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    pytest.importorskip("paho.mqtt")
    if MOSQUITTO is None:
        pytest.skip("no MQTT broker: mosquitto is not installed")
    found = Mosquitto(tmp_path)
    yield found
    found.stop()


def test_messages_arrive_in_order_with_the_status(broker, capsys):
    broker.start()
    listener = Listener(broker.port)
    publisher = Publisher(f"mqtt://127.0.0.1:{broker.port}/yard")
    for number in range(300):
        publisher.put("1/frame", str(number))
    publisher.close()
    wait_for(lambda: listener.got.get("yard/status") == ["online", "offline"])
    listener.close()
    assert listener.got["yard/1/frame"] == [str(number) for number in range(300)]
    assert (publisher.sent, publisher.dropped) == (300, 0)
    assert f"mqtt://127.0.0.1:{broker.port}/yard: 300 messages published, 0 dropped" in capsys.readouterr().out


@pytest.mark.slow
def test_a_broker_that_goes_away_and_returns(broker, capsys):
    broker.start()
    publisher = Publisher(f"mqtt://me:secret@127.0.0.1:{broker.port}", waiting=5)
    publisher.put("1/frame", "before")
    wait_for(lambda: publisher.sent == 1)
    broker.stop()
    wait_for(lambda: not publisher._connected)
    began = time.perf_counter()
    for number in range(20):
        publisher.put("1/frame", str(number))
    assert time.perf_counter() - began < 0.5, "nothing waits for the broker"
    assert publisher.dropped == 15
    broker.start()
    listener = Listener(broker.port)
    wait_for(lambda: publisher.sent == 6)
    publisher.put("1/frame", "after")
    publisher.close()
    wait_for(lambda: listener.got.get("hardsight/1/frame", [""])[-1] == "after")
    listener.close()
    assert (publisher.sent, publisher.dropped) == (7, 15)
    said = capsys.readouterr()
    assert "connection lost" in said.err and "connected" in said.out
    assert "secret" not in said.out + said.err


def test_a_broker_that_is_not_there(broker, capsys):
    began = time.perf_counter()
    publisher = Publisher(f"mqtt://me:secret@127.0.0.1:{broker.port}", waiting=2, first_wait=5.0)
    for number in range(3):
        publisher.put("1/frame", str(number))
    publisher.close()
    assert time.perf_counter() - began < 5
    assert (publisher.sent, publisher.dropped) == (0, 3)
    said = capsys.readouterr()
    assert "no broker answers there. Detection continues" in said.err and "secret" not in said.out + said.err


def test_a_broker_that_refuses(tmp_path, broker):
    broker.config.write_text(broker.config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    with pytest.raises(UserError, match="the broker refuses the connection .*Check user name and password") as problem:
        Publisher(f"mqtt://me:secret@127.0.0.1:{broker.port}")
    assert "secret" not in str(problem.value)
