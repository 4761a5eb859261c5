"""Outbox entries: what is published of a step, in which order, and what is cut so that it can be."""

from __future__ import annotations

import hashlib
from itertools import groupby

from schemas.deadletter import DeadLetterHeaders, Reason
from streams.outbox import (
    FORWARDED_HEADER,
    MAX_DEAD_LETTER_BYTES,
    MAX_KEY_BYTES,
    Entry,
    Forward,
    decode_entry,
    encode_entry,
    letter_of,
    outputs,
    portable,
    version_of,
)

HEADERS = DeadLetterHeaders(
    topic="touchpoints.order", partition=3, offset=17, reason=Reason.EMPTY, detail="说明", first_seen="2026-01-01T00:00:00.000Z"
)


def entry() -> Entry:
    letters = [letter_of(None, b"\xff", HEADERS), letter_of(b"k", None, HEADERS)]
    forwards = [Forward("touchpoints.order", 1, b"u", b"{}", [("trace", b"1")], 17), Forward("touchpoints.exposure", 0, b"v", b"{}", [], 4)]
    return Entry(3, 9, 1_000, [(b"u", b"t0"), (b"v", b"t1")], [b"r0", b"r1"], letters, forwards)


def test_an_entry_comes_back_as_it_was_stored() -> None:
    assert decode_entry(encode_entry(entry())) == entry()


def test_each_topic_gets_its_records_numbered_and_the_rollup_comes_last() -> None:
    found = outputs(entry())
    assert [(topic, len(list(records))) for topic, records in groupby(found, key=lambda o: o.topic)] == [
        ("transitions", 2),
        ("deadletters", 2),
        ("touchpoints.order", 1),
        ("touchpoints.exposure", 1),
        ("rollups", 2),
    ]
    for topic in ("transitions", "deadletters", "rollups"):
        own = [output for output in found if output.topic == topic]
        assert [dict(output.headers)["ce_id"] for output in own] == [b"3:9:0", b"3:9:1"]
        assert {output.partition for output in own} == {3}
    marks = [dict(output.headers)[FORWARDED_HEADER] for output in found if output.topic.startswith("touchpoints")]
    assert marks == [b"3:17", b"3:4"]


def test_a_dead_letter_keeps_key_and_value_and_tells_why() -> None:
    told = {name: value for output in outputs(entry()) if output.topic == "deadletters" for name, value in output.headers}
    assert told["reason"] == b"empty"
    assert told["offset"] == b"17"
    assert told["detail"].decode() == "说明"
    assert "cut_from_bytes" not in told
    assert [(o.key, o.value) for o in outputs(entry()) if o.topic == "deadletters"] == [(None, b"\xff"), (b"k", None)]


def test_what_is_too_large_to_publish_is_cut_with_its_length_and_hash_told() -> None:
    value, key = b"x" * (MAX_DEAD_LETTER_BYTES + 1), b"k" * (MAX_KEY_BYTES + 1)
    letter = letter_of(key, value, HEADERS)
    assert letter.key == key[:-1]
    assert letter.value == value[:-1]
    assert letter.headers.cut_from_bytes == len(value)
    assert letter.headers.sha256 == hashlib.sha256(value).hexdigest()
    whole = letter_of(key[:-1], value[:-1], HEADERS)
    assert (whole.key, whole.value, whole.headers) == (key[:-1], value[:-1], HEADERS)


def test_headers_travel_on_unless_they_would_not_fit() -> None:
    assert portable(None) == []
    assert portable([("a", b"1"), ("b", None)]) == [("a", b"1"), ("b", b"")]
    assert portable([("a", b"x" * (MAX_KEY_BYTES - 1))]) != []
    assert portable([("a", b"x" * MAX_KEY_BYTES)]) == []


def test_a_record_of_an_output_topic_tells_its_step_and_no_other_record_does() -> None:
    for topic in ("transitions", "rollups", "deadletters"):
        headers = next(dict(output.headers) for output in outputs(entry()) if output.topic == topic)
        assert version_of(headers, topic, 3) == 9
        assert version_of(headers, topic, 4) is None
        assert version_of({**headers, "ce_id": b"3:nine:0"}, topic, 3) is None
        assert version_of({**headers, "ce_source": b"/shop"}, topic, 3) is None
        assert version_of({}, topic, 3) is None
