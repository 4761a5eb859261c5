"""What a shard remembers of a user: small, the same after having been stored, and a ring that knows its last sixteen events."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.times import MINUTE_MS
from streams.pace import pace_floor, paces_told
from streams.state import (
    RING_BYTES,
    RING_EVENTS,
    UNTOLD,
    OrderEntry,
    decode_state,
    encode_state,
    event_hash,
    in_ring,
    new_state,
    with_entry,
)

few_bytes = st.binary(min_size=RING_BYTES, max_size=RING_BYTES).map(lambda entry: bytes(b % 2 for b in entry))
"""Entries of zeros and ones, so that they are often found across two neighbours."""


@settings(max_examples=300, deadline=None)
@given(st.lists(few_bytes, max_size=40), few_bytes)
def test_the_ring_knows_exactly_the_last_sixteen_entries(entries: list[bytes], asked: bytes) -> None:
    ring = b""
    for entry in entries:
        ring = with_entry(ring, entry)
    assert len(ring) <= RING_BYTES * RING_EVENTS
    assert in_ring(ring, asked) == (asked in entries[-RING_EVENTS:])


@given(st.text(min_size=1, max_size=128), st.text(min_size=1, max_size=128))
def test_event_ids_are_told_apart_by_their_hashes(one: str, other: str) -> None:
    assert (event_hash(one.encode())[:RING_BYTES] == event_hash(other.encode())[:RING_BYTES]) == (one == other)


@given(st.one_of(st.none(), st.integers(0, 200)), st.lists(st.integers(0, 120), max_size=4))
def test_what_counts_as_refunded_is_nothing_before_the_purchase_and_never_more_than_was_paid(paid: int | None, refunds: list[int]) -> None:
    order = OrderEntry("o", 0, paid, [value for n, amount in enumerate(refunds) for value in (n, amount)])
    assert order.refunded == (0 if paid is None else min(paid, sum(refunds)))
    assert order.is_net_paid == (paid is not None and paid > sum(refunds) and paid > 0)


def test_a_state_comes_back_as_it_was_stored_and_a_new_one_is_small() -> None:
    state = new_state(1_795_000_000_000, 4)
    assert decode_state(encode_state(state)) == state
    assert len(encode_state(state)) <= 42


def test_a_state_of_a_build_that_did_not_know_what_brought_the_user_is_read() -> None:
    state = new_state(1_795_000_000_000, 4)
    fields = msgspec.msgpack.decode(encode_state(state))
    assert decode_state(msgspec.msgpack.encode(fields[:-4])) == replace(state, layer_channel=UNTOLD)


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(1, 4_000))
def test_a_pace_holds_its_minute_and_its_records_whichever_came_first(at: int, base: int, records: int) -> None:
    floor = pace_floor(at, base)
    state = new_state(base, 4)
    state.interactions = floor + records
    assert paces_told(state) == ({}, {at // MINUTE_MS: records})
    assert pace_floor(at - MINUTE_MS, base) < floor + records < pace_floor(at + MINUTE_MS, base)
