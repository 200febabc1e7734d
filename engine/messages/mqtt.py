"""`--publish mqtt://...`: messages to an MQTT broker, without ever waiting for it.

Messages wait in a bounded queue; where the broker is away or slow, the oldest are dropped and counted.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from utils.errors import UserError
from utils.log import LOGGER, redact

PORTS = {"mqtt": 1883, "mqtts": 8883}
TOPIC = "hardsight"  # where the address names none
PASSWORD = "HARDSIGHT_MQTT_PASSWORD"  # noqa: S105 - the name of a variable of the environment
WAITING = 1000  # messages that wait for the broker, at most
UNDERWAY = 100  # messages that were handed to the client and not yet confirmed, at most
FIRST_WAIT, LAST_WAIT = 3.0, 2.0  # seconds to wait for the broker's first answer, and for the last messages


class Broker(NamedTuple):
    """Where to publish. topic: without slashes at its ends; user, password: empty for none."""

    shown: str
    host: str
    port: int
    tls: bool
    topic: str
    user: str
    password: str


def read_broker(address: str) -> Broker:
    """The parts of mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]. Raises UserError, which never shows the password."""
    shown = redact(address)
    expected = (
        f"--publish {shown}: expected mqtt://HOST[:PORT][/TOPIC] or mqtts://..., such as mqtt://localhost/cameras."
    )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UserError(expected) from None
    if parts.scheme not in PORTS or not host or parts.query or parts.fragment:
        raise UserError(expected)
    topic = unquote(parts.path).strip("/") or TOPIC
    if any(sign in topic for sign in "+#\0"):
        raise UserError(
            f"--publish {shown}: a topic holds no +, # or NUL, since these are wildcards. Choose another one."
        )
    user, password = _login(parts)
    return Broker(shown, host, port or PORTS[parts.scheme], parts.scheme == "mqtts", topic, user, password)


def _login(parts: SplitResult) -> tuple[str, str]:
    """User name and password; the latter may stand in the environment instead of the command line."""
    return unquote(parts.username or ""), unquote(parts.password or "") or os.environ.get(PASSWORD, "")


def check_package() -> None:
    """Raise UserError where the client library is missing."""
    if importlib.util.find_spec("paho") is None:
        raise UserError("--publish: needs the package paho-mqtt, which is not installed. Run pip install paho-mqtt.")


class Publisher:
    """Publishes below a topic of a broker. `put` never waits; `sent` and `dropped` count messages.

    TOPIC/status says "online" or "offline" (retained; the broker itself says "offline" when the connection breaks).
    Raises UserError without paho-mqtt, and where the broker refuses the login. A broker that is not there yet is waited for
    in the background: 1, 2, 4 ... 30 s between two tries.
    """

    def __init__(self, address: str, *, waiting: int = WAITING, first_wait: float = FIRST_WAIT) -> None:
        self.broker = read_broker(address)
        check_package()
        self._mqtt: Any = importlib.import_module("paho.mqtt.client")
        self.sent = self.dropped = 0
        self._limit = waiting
        self._waiting: deque[tuple[str, str]] = deque()
        self._news = threading.Condition()
        self._answered, self._over = threading.Event(), threading.Event()
        self._connected, self._underway, self._refused = False, 0, ""
        self._own: set[int] = set()  # numbers of messages that are not counted
        self._client = self._create()
        self._client.connect_async(self.broker.host, self.broker.port, keepalive=30)
        self._client.loop_start()
        self._check_first(first_wait)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _create(self) -> Any:
        """The client, which reconnects by itself in a thread of its own."""
        client = self._mqtt.Client(importlib.import_module("paho.mqtt.enums").CallbackAPIVersion.VERSION2)
        if self.broker.user:
            client.username_pw_set(self.broker.user, self.broker.password or None)
        if self.broker.tls:
            client.tls_set()
        client.will_set(self._topic("status"), "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 30)
        client.connect_timeout = 5.0
        client.max_queued_messages_set(UNDERWAY + 1)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_publish = self._on_connect_fail, self._on_publish
        return client

    def _check_first(self, patience: float) -> None:
        """Wait a moment for the broker. Raises UserError where it refuses; says so where it is not there."""
        self._answered.wait(patience)
        if self._refused:
            self._stop()
            raise UserError(
                f"--publish {self.broker.shown}: the broker refuses the connection ({self._refused}). Check user name and "
                f"password: mqtt://USER:PASSWORD@HOST, or the password in {PASSWORD}."
            )
        if not self._connected:
            LOGGER.warning(
                f"warning: --publish {self.broker.shown}: no broker answers there. Detection continues; the latest "
                f"{self._limit} messages wait for it."
            )

    def put(self, name: str, payload: str) -> None:
        """Publish a text as TOPIC/name, at least once (QoS 1). The oldest message goes where too many wait."""
        with self._news:
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((self._topic(name), payload))
            self._news.notify_all()

    def close(self) -> None:
        """Wait a moment for what is on its way, say "offline", and report the counts."""
        with self._news:
            self._news.wait_for(lambda: not self._connected or not (self._waiting or self._underway), timeout=LAST_WAIT)
        self._over.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(timeout=1.0)
        if self._connected:
            self._client.publish(self._topic("status"), "offline", qos=1, retain=True).wait_for_publish(1.0)
        self._stop()
        lost = self.dropped + len(self._waiting) + self._underway
        LOGGER.info(f"{self.broker.shown}: {self.sent} messages published, {lost} dropped")
        self.dropped = lost

    def _topic(self, name: str) -> str:
        return f"{self.broker.topic}/{name}"

    def _stop(self) -> None:
        """End the client's thread; one that hangs in a connection attempt ends by itself."""
        self._client.disconnect()
        stopper = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopper.start()
        stopper.join(timeout=1.0)

    def _run(self) -> None:
        """Hand messages to the client while it is connected."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._over.is_set() or self._ready())
                if self._over.is_set():
                    return
                topic, payload = self._waiting.popleft()
                self._underway += 1
            info = self._client.publish(topic, payload, qos=1)  # resent by the client after a broken connection
            if info.rc == self._mqtt.MQTT_ERR_QUEUE_SIZE:
                with self._news:
                    self._underway, self.dropped = self._underway - 1, self.dropped + 1

    def _ready(self) -> bool:
        """Whether a message can be handed on."""
        return self._connected and bool(self._waiting) and self._underway < UNDERWAY

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._refused = str(reason) if reason.is_failure else ""
        if self._refused and self._answered.is_set():
            LOGGER.warning(
                f"warning: --publish {self.broker.shown}: the broker refuses the connection ({self._refused})"
            )
        if not self._refused:
            self._own.add(client.publish(self._topic("status"), "online", qos=0, retain=True).mid)
            if self._answered.is_set():
                LOGGER.info(f"{self.broker.shown}: connected")
        self._set(connected=not self._refused)

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self._set(connected=False)

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connected and not self._over.is_set():
            LOGGER.warning(f"warning: {self.broker.shown}: connection lost ({reason}); detection continues")
        self._set(connected=False)

    def _on_publish(self, client: Any, data: Any, number: Any, reason: Any, properties: Any) -> None:
        with self._news:
            if number in self._own:
                self._own.remove(number)
            elif not self._over.is_set():
                self._underway, self.sent = self._underway - 1, self.sent + 1
            self._news.notify_all()

    def _set(self, connected: bool) -> None:
        with self._news:
            self._connected = connected
            self._answered.set()
            self._news.notify_all()
