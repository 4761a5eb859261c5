"""What is a record of a body, and which bytes of it."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.collector.body import JSON, LINES, BodyError, BodyTooLarge, gunzipped, records_of

NDJSON = "application/x-ndjson"


@pytest.mark.parametrize(
    ("body", "content_type", "records"),
    [
        (b'{"a":1}', JSON, [b'{"a":1}']),
        (b' {"a":1}\n', JSON, [b'{"a":1}']),
        (b'[{"a": 1}, 2 ,"[x]"]', JSON, [b'{"a": 1}', b"2", b'"[x]"']),
        (b'\n [ {"a":[1]} ] ', JSON, [b'{"a":[1]}']),
        (b'{"a":1}\n\n \r\n{"a":2}\r\n', NDJSON, [b'{"a":1}', b'{"a":2}\r']),
        (b"[1]\nbroken", NDJSON, [b"[1]", b"broken"]),
    ],
)
def test_records_are_told_apart_byte_for_byte(body: bytes, content_type: str, records: list[bytes]) -> None:
    assert records_of(body, content_type) == records


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b"[", b"[1,]", b"[1] 2", b"[\xff]", b"[" * 5_000])
def test_what_has_no_records_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError, match="expected"):
        records_of(body, JSON)


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()), min_size=1))
def test_an_array_and_lines_hold_the_same_records(records: list[dict[str, object]]) -> None:
    parts = [json.dumps(record).encode() for record in records]
    assert records_of(b"[" + b",".join(parts) + b"]", JSON) == parts
    for content_type in LINES:
        assert records_of(b"\n".join(parts), content_type) == parts


@given(body=st.binary(max_size=300))
def test_what_was_packed_is_unpacked(body: bytes) -> None:
    assert gunzipped(gzip.compress(body), len(body)) == body


@given(body=st.binary(max_size=300))
def test_what_is_not_gzip_or_not_whole_is_told(body: bytes) -> None:
    packed = gzip.compress(body)
    for broken in (body, packed[:-1], packed + b"x", packed + packed, b""):
        with pytest.raises(BodyError, match="expected gzip"):
            gunzipped(broken, 1000)


def test_of_a_bomb_no_more_is_unpacked_than_is_allowed() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    tracemalloc.start()
    with pytest.raises(BodyTooLarge, match="at most 1000 bytes"):
        gunzipped(bomb, 1000)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
