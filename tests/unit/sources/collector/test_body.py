"""What is a record of a body, and which bytes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.collector.body import JSON, LINES, BodyError, records_of

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
