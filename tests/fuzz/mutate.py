"""Damage to files, the same for the same seed: what a broken disk, a hurried editor or an attacker leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable

TOKENS = (
    b"", b"~", b"null", b"-1", b"0", b"1e999", b"nan", b".inf", b"9" * 400, b"0x7f", b"true", b"yes", b"[]", b"{}", b"''",
    b"!!int ''", b"!!binary x", b"!!python/name:os.system", b"&a [*a]", b"2001-99-99", b"../../..", b"/", b"~nobody/x",
    b"a" * 5000, b"\xc2\xb2", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"[" * 300, b"http://127.0.0.1:9/x", b"**/*", b": : :",
)  # fmt: skip

Mutation = Callable[[bytes, random.Random], bytes]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _flip(content: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def _insert(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    return content[:place] + draw.choice(TOKENS) + content[place:]


def _replace_word(content: bytes, draw: random.Random) -> bytes:
    words = content.split(b" ")
    words[draw.randrange(len(words))] = draw.choice(TOKENS)
    return b" ".join(words)


def _replace_value(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    lines[place] = lines[place].partition(b":")[0] + b": " + draw.choice(TOKENS)
    return b"\n".join(lines)


def _move_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    chosen = draw.choice(lines)
    lines.insert(draw.randrange(len(lines) + 1), chosen)
    return b"\n".join(lines)


MUTATIONS: tuple[Mutation, ...] = (_cut, _flip, _insert, _replace_word, _replace_value, _move_lines)


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content after one to three mutations."""
    for _ in range(draw.randint(1, 3)):
        content = draw.choice(MUTATIONS)(content, draw) if content else draw.choice(TOKENS)
    return content
