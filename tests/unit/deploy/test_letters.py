"""Strangers' bytes as a terminal gets them."""

from __future__ import annotations

import pytest

from deploy.cli.letters import hex_dump, value_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "(no value)"),
        (b"", "(empty)"),
        (b'{"b":[1],"a":"\xe5\xb1\xb1"}', '{\n  "b": [\n    1\n  ],\n  "a": "山"\n}'),
        (b"GET / HTTP/1.1\r\n", "GET / HTTP/1.1\\r\n"),
        (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        (b'{"a":"\xc2\x9b2J\xe2\x80\xae"}', '{\n  "a": "\\x9b2J\\u202e"\n}'),
        (b"\xff\x00A", "00000000  ff 00 41                                         ..A"),
    ],
)
def test_a_value_is_shown_and_never_obeyed(value: bytes | None, shown: str) -> None:
    assert value_text(value) == shown


def test_a_long_value_tells_how_much_is_left_out() -> None:
    assert value_text(b"x" * 10_000).endswith("\n(1,808 bytes more: --raw)")
    assert value_text(b"[" * 100_000).endswith("bytes more: --raw)")
    assert value_text(b"\xff" * 10_000).endswith("\n(1,808 bytes more: --raw)")


def test_a_hex_dump_has_sixteen_bytes_a_line() -> None:
    lines = hex_dump(bytes(range(33))).splitlines()
    assert [line[:8] for line in lines] == ["00000000", "00000010", "00000020"]
    assert lines[2].split()[1] == "20"
