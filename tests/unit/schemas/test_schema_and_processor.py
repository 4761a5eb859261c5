"""What the JSON Schema lets through the processor takes, and the processor survives any bytes at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.deadletter import InvalidRecord, Reason
from schemas.ladder_file import load_ladder
from schemas.touchpoint import CATALOGUE, KINDS, Kind
from schemas.validate import Validator
from tests.unit.schemas.example_files import schema_of

VALIDATOR = Validator(load_ladder("5r"), lambda: 0, check_future=False)
SCHEMAS = {kind: Draft202012Validator(schema_of(kind.topic)) for kind in KINDS}

TEXTS = st.sampled_from(["", "u1", "用户", "\u0000", "x" * 128, "x" * 129, "CNY", "tick"])
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-2, 10**16) | st.floats(0, 10, width=16) | TEXTS
INSTANTS = st.sampled_from(
    [
        *(0, -1, 1_794_355_203_120, 10_413_791_999_999, 10_413_792_000_000),
        *("2026-11-11T00:00:00Z", "2026-11-11t00:00:00.5+08:00", "2026-11-11 00:00:00z", "2026-11-11T00:00:00.123456789-11:30"),
        *("2026-11-11T24:00:00Z", "2026-11-11T00:00Z", "2026-11-11", "2026-11-11T00:00:00", "2026-11-11T00:00:00+0800"),
        *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2299-12-31T23:59:59.999Z", "2300-01-01T00:00:00Z"),
    ]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.just("e1") | SCALARS,
    "type": st.sampled_from([*CATALOGUE, "tick", "qr_scann"]) | SCALARS,
    "brand": st.just("acme") | SCALARS,
    "user_id": st.just("u1") | SCALARS,
    "occurred_at": INSTANTS | SCALARS,
    "relation_id": st.just("r1") | SCALARS,
    "order_id": st.just("o1") | SCALARS,
    "amount": st.integers(0, 10**15) | SCALARS,
    "currency": st.just("CNY") | SCALARS,
    "channel": SCALARS,
    "attributes": st.dictionaries(TEXTS, SCALARS, max_size=2) | SCALARS,
    "unknown": SCALARS,
}
RECORDS = st.fixed_dictionaries({}, optional=FIELDS)
TYPES = st.sampled_from([*CATALOGUE, "tick", "tick", "tick"])
CHANGES = st.sets(st.sampled_from(sorted(FIELDS)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
MOSTLY_VALID = st.builds(
    lambda type_, at, changes: {
        "event_id": "e1",
        "type": type_,
        "brand": "acme",
        "user_id": "u1",
        "occurred_at": at,
        "relation_id": "r1",
        "order_id": "o1",
        "amount": 1,
        **changes,
    },
    TYPES,
    INSTANTS,
    CHANGES,
)


def reason_of(kind: Kind, value: bytes) -> InvalidRecord | None:
    try:
        VALIDATOR.validate(kind, value)
    except InvalidRecord as invalid:
        return invalid
    return None


@settings(max_examples=500, deadline=None)
@given(kind=st.sampled_from(KINDS), record=RECORDS | MOSTLY_VALID)
def test_what_the_schema_lets_through_the_processor_takes(kind: Kind, record: dict[str, Any]) -> None:
    invalid = reason_of(kind, json.dumps(record).encode())
    if invalid is None or not SCHEMAS[kind].is_valid(record):
        return
    # Known exceptions: another currency, and numbers such as 1.0, which JSON Schema calls integers.
    assert invalid.reason is Reason.WRONG_CURRENCY or "got `float`" in invalid.detail, invalid


@settings(max_examples=500, deadline=None)
@given(kind=st.sampled_from(KINDS), record=RECORDS | MOSTLY_VALID)
def test_what_the_processor_takes_the_schema_lets_through(kind: Kind, record: dict[str, Any]) -> None:
    if reason_of(kind, json.dumps(record).encode()) is not None or SCHEMAS[kind].is_valid(record):
        return
    # The processor is more lenient than RFC 3339 in one thing: an offset without its colon.
    assert str(record["occurred_at"]).endswith("+0800"), record


@given(kind=st.sampled_from(KINDS), value=st.binary())
def test_any_bytes_are_a_record_or_a_dead_letter(kind: Kind, value: bytes) -> None:
    reason_of(kind, value)


@given(kind=st.sampled_from(KINDS), record=RECORDS | MOSTLY_VALID, at=st.integers(0, 200), noise=st.binary(min_size=1, max_size=3))
def test_a_damaged_record_is_a_record_or_a_dead_letter(kind: Kind, record: dict[str, Any], at: int, noise: bytes) -> None:
    value = json.dumps(record).encode()
    reason_of(kind, value[:at] + noise + value[at + len(noise) :])
    reason_of(kind, value[:at])
