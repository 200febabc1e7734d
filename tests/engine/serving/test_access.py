"""Where the page listens, and who may see it."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest

from engine.serving.access import Access, read_token, reserve, same_origin
from utils.errors import UserError

pytest.importorskip("aiohttp", reason="aiohttp is not installed")


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "allowed"),
    [
        ("", False),
        ("Bearer correct-horse", True),
        ("bearer correct-horse", True),
        ("Bearer correct-hors", False),
        ("Bearer correct-horse2", False),
        (basic("anybody:correct-horse"), True),
        (basic(":correct-horse"), True),
        (basic("correct-horse:"), False),
        ("Basic ???", False),
        ("Basic /w==", False),
        ("Digest correct-horse", False),
        ("Bearer café", False),
        ("Bearer \udced\udcb2\udc80abc", False),
        (basic("x:") + "\udced", False),
    ],
)
def test_a_token_is_shown_as_bearer_or_password(authorization: str, allowed: bool) -> None:
    assert Access("correct-horse").allows("camera.lan", authorization, "") is allowed


def test_the_cookie_is_another_secret_than_the_token() -> None:
    access = Access("correct-horse")
    assert access.allows("x", "", access.session) and not access.allows("x", "", "correct-horse")
    assert not access.allows("x", "", "") and not access.allows("x", "", "\udced\udcb2\udc80")
    assert access.session not in repr(access) and "correct" not in repr(access)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True),
        ("localhost:8000", True),
        ("LOCALHOST", True),
        ("[::1]:8000", True),
        ("evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_without_a_token_only_this_machines_names_are_answered(host: str, allowed: bool) -> None:
    assert Access().allows(host, "", "") is allowed


@pytest.mark.parametrize(
    ("host", "origin", "same"),
    [
        ("a:1", "http://a:1", True),
        ("a:1", "", True),
        ("a:1", "http://b:1", False),
        ("a:1", "http://a:2", False),
        ("a:1", "null", False),
        ("a:1", "http://[::1", False),
    ],
)
def test_other_pages_open_no_socket(host: str, origin: str, same: bool) -> None:
    assert same_origin(host, origin) is same


@pytest.mark.parametrize(
    ("where", "token", "words"),
    [
        ("x", "", "is no port.*Expected"),
        ("0", "", "is no port"),
        ("65536", "", "is no port"),
        ("9" * 5000, "", "is no port"),
        ("127.0.0.1:", "", "is no port"),
        ("::1:8000", "", "is no port"),
        ("0.0.0.0:8000", "", "everybody who reaches 0.0.0.0 could watch. Add --serve-token"),
        ("0.0.0.0:8000", "short", "--serve-token: is too short"),
        ("no.such.host.invalid:8000", "", "is no address of this machine"),
        ("8000", "@/no/such/file", "--serve-token @/no/such/file: cannot be read"),
    ],
)
def test_mistakes(where: str, token: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as problem:
        reserve(where, token)
    assert "\n" not in str(problem.value) and "short-" not in str(problem.value)


@pytest.mark.parametrize(
    ("given", "found", "hosts"),
    [
        ("127.0.0.2", "127.0.0.2", ["127.0.0.2", "127.0.0.1", "localhost"]),
        ("Camera", "127.0.1.1", ["camera", "CAMERA", "127.0.1.1"]),  # as Debian has it in /etc/hosts
        ("127.2", "127.0.0.2", ["127.0.0.2"]),  # as browsers write it
    ],
)
def test_the_printed_address_is_answered(
    given: str, found: str, hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **flags: ask(found, port, **flags))
    with closing(socket.create_server((found, 0))) as free:
        port = free.getsockname()[1]
    server, address, access = reserve(f"{given}:{port}", "")
    server.close()
    assert address == f"http://{given}:{port}/"
    assert all(access.allows(f"{host}:{port}", "", "") for host in hosts)
    assert not access.allows(f"evil.example:{port}", "", "")


def test_a_port_in_use_is_one_paragraph() -> None:
    told = pytest.raises(UserError, match=r"Address already in use.*choose another")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, told as problem:
        reserve(str(taken.getsockname()[1]), "")
    assert "\n" not in str(problem.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install aiohttp"):
        reserve("8000", "")


def test_a_token_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file \nmore\n")
    assert read_token(f"@{tmp_path / 'token'}") == "from-a-file"
    assert read_token("") == ""
    (tmp_path / "token").write_text("")
    with pytest.raises(UserError, match="too short"):
        read_token(f"@{tmp_path / 'token'}")
