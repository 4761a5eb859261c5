"""Outbox entries: everything one step has to say to the outside, kept in Redis until Kafka has acknowledged it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from schemas.cloudevents import cloudevent
from schemas.deadletter import DeadLetterHeaders
from schemas.rollup import CE_TYPE as ROLLUP_TYPE
from schemas.times import to_rfc3339
from schemas.transition import CE_TYPE as TRANSITION_TYPE

FORWARDED_HEADER = "rflow_forwarded"
TRACE_HEADER = "traceparent"
"""of W3C Trace Context"""
MAX_DEAD_LETTER_BYTES = 4_000_000
"""A larger value is cut, its length and hash told in the headers."""
MAX_KEY_BYTES = 65_536
"""A longer key is cut: what it says is not in doubt, since only the value counts."""

Headers = list[tuple[str, bytes]]


class Letter(Struct, array_like=True, gc=False):
    """A dead letter: the record's own key and value, and its headers."""

    key: bytes | None
    value: bytes | None
    headers: DeadLetterHeaders


class Forward(Struct, array_like=True, gc=False):
    """A record for another partition of its own topic. Its mark is where it lay, shard and offset, which whoever forwards it again, be it
    from a state restored, tells again: so the receiver knows it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    offset: int


class Entry(Struct, array_like=True, gc=False):
    """The outputs of step `version` of `shard`. Transitions are (user id, JSON), rollups JSON; each at the index it is published with.
    `traces`: the trace context of the transitions that go on with one, by their index."""

    shard: int
    version: int
    detected_at: int
    transitions: list[tuple[bytes, bytes]]
    rollups: list[bytes]
    letters: list[Letter]
    forwards: list[Forward]
    traces: dict[int, str] | None = None


class Output(NamedTuple):
    """One record to be published; topics without their prefix."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


encode_entry = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(Entry).decode


def outputs(entry: Entry) -> list[Output]:
    """The records of an entry in the order in which they are published: the rollup last, so that it says the step is complete."""
    shard, version, time = entry.shard, entry.version, to_rfc3339(entry.detected_at)
    found = [
        Output("transitions", shard, key, value, _cloudevent(shard, version, i, TRANSITION_TYPE, time))
        for i, (key, value) in enumerate(entry.transitions)
    ]
    for i, context in (entry.traces or {}).items():
        found[i].headers.append((TRACE_HEADER, context.encode()))
    found += [
        Output("deadletters", shard, letter.key, letter.value, _letter_headers(letter.headers, shard, version, i, time))
        for i, letter in enumerate(entry.letters)
    ]
    found += [
        Output(
            forward.topic,
            forward.partition,
            forward.key,
            forward.value,
            [*forward.headers, (FORWARDED_HEADER, f"{shard}:{forward.offset}".encode())],
        )
        for forward in entry.forwards
    ]
    found += [
        Output("rollups", shard, None, value, _cloudevent(shard, version, i, ROLLUP_TYPE, time)) for i, value in enumerate(entry.rollups)
    ]
    return found


def version_of(headers: Mapping[str, object], topic: str, shard: int) -> int | None:
    """The step that wrote a record of an output topic, by its headers; None if no step of this shard did."""
    name = headers.get("ce_id")
    if headers.get("ce_source") != _source(topic, shard).encode() or not isinstance(name, bytes):
        return None
    found = re.fullmatch(rb"%d:(\d{1,18}):\d{1,18}" % shard, name)
    return int(found[1]) if found else None


def letter_of(key: bytes | None, value: bytes | None, headers: DeadLetterHeaders) -> Letter:
    """A dead letter that can be published, its value cut where it is too large for that."""
    if key is not None and len(key) > MAX_KEY_BYTES:
        key = key[:MAX_KEY_BYTES]
    if value is not None and len(value) > MAX_DEAD_LETTER_BYTES:
        headers = msgspec.structs.replace(headers, cut_from_bytes=len(value), sha256=hashlib.sha256(value).hexdigest())
        value = value[:MAX_DEAD_LETTER_BYTES]
    return Letter(key, value, headers)


def portable(headers: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    """The headers that travel on with a forwarded record: all of them, or none where they would not fit beside it."""
    told = [(name, value or b"") for name, value in headers or ()]
    return told if sum(len(name) + len(value) for name, value in told) <= MAX_KEY_BYTES else []


def _cloudevent(shard: int, version: int, index: int, type_: str, time: str) -> Headers:
    return cloudevent(_source(f"{type_.split('.')[1]}s", shard), f"{shard}:{version}:{index}", type_, time)


def _source(topic: str, shard: int) -> str:
    return f"/rflow/{topic}/{shard}"


def _letter_headers(headers: DeadLetterHeaders, shard: int, version: int, index: int, time: str) -> Headers:
    told = [(name, str(value).encode()) for name, value in msgspec.structs.asdict(headers).items() if value is not None]
    return [*told, *_cloudevent(shard, version, index, "rflow.deadletter.v1", time)[:-1]]
