"""Marks of forwarded records, as anyone may write them."""

from __future__ import annotations

from streams.headers import mark_of
from streams.outbox import FORWARDED_HEADER


def test_a_mark_is_one_that_a_shard_can_have_written() -> None:
    for text in (b"", b"junk", b"1", b"1:2:3", b"4:1", b"-1:1", b"a:b", b"\xff", b"9" * 5_000 + b":1", None):
        assert mark_of([("trace", b"1"), (FORWARDED_HEADER, text)], 4) is None
    assert mark_of([("trace", None), (FORWARDED_HEADER, b"3:42"), (FORWARDED_HEADER, b"junk")], 4) == (3, 42)
    assert mark_of([], 4) is None
