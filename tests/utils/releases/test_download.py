"""utils.releases.download against a local server: also one that breaks off, lies, redirects or serves something else."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Iterator
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import numpy as np
import pytest

from utils.errors import UserError
from utils.releases.download import Interrupted, SafeRedirects, Wanted, download, pieces

CONTENT = np.random.default_rng(0).bytes(250_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT as its server's `how` says, and notes the ranges that were asked for."""

    def do_GET(self) -> None:
        how = self.server.how
        self.server.asked.append(self.headers.get("Range"))
        if how.redirect and not self.path.startswith("/moved"):
            self.answer(302, b"", Location=how.redirect)
        elif how.status:
            self.answer(how.status, b"no")
        elif self.headers.get("Range") and how.ranges and self.headers.get("If-Range") in (how.etag, how.date):
            first = int(self.headers["Range"][6:-1]) + how.shift
            part = {"Content-Range": f"bytes {first}-{len(how.body) - 1}/{len(how.body)}"}
            self.answer(206, how.body[first : len(how.body) - how.short], **part)
        else:
            self.answer(200, how.body)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        how = self.server.how
        self.send_response(status)
        length = how.length if how.length and status == 200 else len(body)
        said = {"Content-Length": str(length), "Content-Type": how.kind, "Last-Modified": how.date, "ETag": how.etag}
        for name, value in {**said, **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: how.breaks_at] if status == 200 and how.breaks_at else body)

    def log_message(self, *given: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(monkeypatch) -> Iterator[SimpleNamespace]:
    """A server on this machine: `url`, `how` it answers, and what was `asked`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.asked = []
    listening.how = SimpleNamespace(
        body=CONTENT, etag='"one"', kind="application/octet-stream", ranges=True, redirect="", status=0, length=0,
        breaks_at=0, shift=0, short=0,
        date="",
    )  # fmt: skip
    thread = threading.Thread(target=partial(listening.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listening.server_port}/model.pt"
    yield SimpleNamespace(url=url, how=listening.how, asked=listening.asked)
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def fetched(server, tmp_path) -> SimpleNamespace:
    """`get(size=..., sha256=..., check=...)` downloads to `target`; `left()` lists the folder."""
    target = tmp_path / "weights" / "model.pt"

    def get(size: int | None = None, sha256: str | None = None, check=lambda path: None) -> str:
        return download(Wanted(server.url, size, sha256, typed=True), target, check)

    return SimpleNamespace(get=get, target=target, left=lambda: sorted(path.name for path in target.parent.iterdir()))


def test_a_file_arrives_whole_and_alone(fetched):
    assert fetched.get(len(CONTENT), DIGEST) == DIGEST
    assert fetched.target.read_bytes() == CONTENT
    assert fetched.left() == ["model.pt"]


def test_neither_size_nor_checksum_need_be_known(fetched):
    assert fetched.get() == DIGEST


def test_what_broke_off_is_resumed(server, fetched):
    server.how.breaks_at = 100_000
    with pytest.raises(UserError, match="broke off after 100,000 of 250,000 bytes"):
        fetched.get(sha256=DIGEST)
    assert fetched.left() == [".model.pt.part", ".model.pt.part.json"]
    facts = json.loads((fetched.target.parent / ".model.pt.part.json").read_text())
    assert facts == {"url": server.url, "size": 250_000, "version": '"one"'}
    server.how.breaks_at = 0
    assert fetched.get(sha256=DIGEST) == DIGEST
    assert server.asked == [None, "bytes=100000-"]
    assert fetched.left() == ["model.pt"]


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": '"two"'}])
def test_a_part_of_another_version_is_fetched_anew(server, fetched, change):
    server.how.breaks_at = 100_000
    with pytest.raises(UserError, match="broke off"):
        fetched.get()
    vars(server.how).update(breaks_at=0, body=CONTENT[::-1], **change)
    fetched.get()
    assert fetched.target.read_bytes() == CONTENT[::-1]


def test_a_part_of_another_address_is_not_used(server, fetched):
    fetched.target.parent.mkdir()
    (fetched.target.parent / ".model.pt.part").write_bytes(b"x" * 1000)
    (fetched.target.parent / ".model.pt.part.json").write_text(
        '{"url": "https://elsewhere", "size": 250000, "version": "e"}'
    )
    assert fetched.get() == DIGEST
    assert server.asked == [None]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_the_date_is_a_version_where_there_is_no_strong_etag(server, fetched, etag):
    vars(server.how).update(breaks_at=100_000, etag=etag, date="Sat, 29 Nov 2025 07:00:00 GMT")
    with pytest.raises(UserError, match="The same command resumes"):
        fetched.get()
    server.how.breaks_at = 0
    assert fetched.get() == DIGEST
    assert server.asked == [None, "bytes=100000-"]


def test_without_any_version_the_next_call_starts_anew_and_this_one_says_so(server, fetched):
    vars(server.how).update(breaks_at=100_000, etag="")
    with pytest.raises(UserError, match="broke off .* starts anew"):
        fetched.get()
    server.how.breaks_at = 0
    assert fetched.get() == DIGEST
    assert server.asked == [None, None]


@pytest.mark.parametrize("change", [{"shift": 7}, {"short": 50_000}])
def test_a_server_that_sends_another_part_is_not_believed(server, fetched, change):
    server.how.breaks_at = 100_000
    with pytest.raises(UserError, match="broke off"):
        fetched.get()
    vars(server.how).update(breaks_at=0, **change)
    with pytest.raises(UserError, match="another part"):
        fetched.get()
    assert fetched.left() == []


@pytest.mark.parametrize(
    ("how", "wanted", "message"),
    [
        ({"length": 300_000}, {}, "broke off after 250,000 of 300,000"),  # promises more than it sends
        ({"length": 150_000}, {"size": 250_000}, "expected 250,000 bytes, but the server has 150,000"),
        ({"length": 150_000}, {"sha256": DIGEST}, "its SHA-256 is"),  # promises less: the end is missing
        ({"body": b"x" * 99_999}, {}, "99,999 bytes are no checkpoint"),
        ({"length": 1_000_000_001}, {}, "1,000,000,001 bytes are no checkpoint"),
        ({}, {"sha256": "0" * 64}, f"its SHA-256 is {DIGEST}, expected 0000.*--sha256 {DIGEST}"),
        ({"kind": "text/html"}, {}, "a web page"),
        ({"body": b"\n<!DOCTYPE html>" + b" " * 200_000}, {}, "a web page"),
        ({"body": b"<html>login</html>"}, {"size": 250_000}, "a web page"),  # not "expected 250,000 bytes"
        ({"status": 404}, {}, "the server answered 404"),
        ({"redirect": "ftp://127.0.0.1/x"}, {}, "not https"),
    ],
)
def test_wrong_answers_leave_no_file(server, fetched, how, wanted, message):
    vars(server.how).update(how)
    with pytest.raises(UserError, match=message):
        fetched.get(**wanted)
    assert not fetched.target.exists()
    kept = ".model.pt.part" if "broke off" in message else None
    assert (kept in fetched.left()) if kept else fetched.left() == []


def test_redirects_are_followed(server, fetched):
    server.how.redirect = server.url.replace("model.pt", "moved.pt")
    assert fetched.get() == DIGEST


def test_the_check_comes_before_the_name(fetched):
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT and not fetched.target.exists()
        raise UserError("not readable")

    with pytest.raises(UserError, match="not readable"):
        fetched.get(check=refuse)
    assert fetched.left() == []


@pytest.mark.parametrize(
    ("url", "typed"),
    [
        ("http://127.0.0.1/x.pt", False),
        ("file:///etc/passwd", True),
        ("ftp://x/y.pt", True),
        ("x", True),
        ("https://[x/y.pt", True),
        ("https://host:99999/y.pt", True),
        ("https://host:abc/y.pt", True),
        ("https://host/\xe4.pt", True),
        ("https://host/a b.pt", True),
    ],
)
def test_addresses_are_https_unless_typed(tmp_path, url, typed):
    with pytest.raises(UserError, match="begins with https"):
        download(Wanted(url, typed=typed), tmp_path / "x.pt", lambda path: None)
    assert not any(tmp_path.iterdir())


def test_passwords_are_refused_and_neither_shown_nor_stored(server, fetched):
    secret = server.url.replace("://", "://me:hunter2@") + "?token=hunter2"
    with pytest.raises(UserError, match="user name or password") as told:
        download(Wanted(secret, typed=True), fetched.target, lambda path: None)
    assert "hunter2" not in str(told.value) and not server.asked
    server.how.breaks_at = 100_000
    with pytest.raises(UserError, match="broke off") as told:
        download(Wanted(f"{server.url}?token=hunter2", typed=True), fetched.target, lambda path: None)
    assert "hunter2" not in str(told.value) + (fetched.target.parent / ".model.pt.part.json").read_text()


@pytest.mark.parametrize("new", ["http://elsewhere/x.pt", "https://[x/y.pt"])
def test_a_redirect_away_from_https_is_refused(new):
    request = Request("https://github.com/x.pt")
    with pytest.raises(UserError, match="not https"):
        SafeRedirects(plain_http=False).redirect_request(request, None, 302, "", Message(), new)


def test_a_lost_connection_is_not_called_a_full_disk():
    """No route to the host, an error of TLS: plain OSErrors, as those of a disk are."""

    def read(size: int) -> bytes:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    with pytest.raises(Interrupted, match="No route to host"):
        list(pieces(SimpleNamespace(read=read), 10))


def test_without_a_server(tmp_path):
    with pytest.raises(UserError, match="cannot be fetched") as told:
        download(Wanted("http://127.0.0.1:9/x.pt", typed=True), tmp_path / "x.pt", lambda path: None)
    assert "kept" not in str(told.value)
