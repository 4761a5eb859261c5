"""What a shard remembers of one user: a MessagePack array, small because there are hundreds of millions of them.

All times but `base` are milliseconds after `base`, so that they take five bytes instead of nine. A label is a number in the shard's
table of labels, or the text itself once that table is full.
"""

from __future__ import annotations

import msgspec
import xxhash
from msgspec import Struct

from streams.formats import FORMAT

RING_EVENTS = 16
RING_BYTES = 6
"""Bytes of an event id's hash kept in the ring: two of a user's last 16 events are mistaken for one once in 10^13 events."""
MAX_ORDERS = MAX_RELATIONS = MAX_REFUNDS = 512

LabelRef = int | str | None

UNTOLD = -1
"""In the place of a label's number: an earlier build did not keep it."""


class RelationEntry(Struct, array_like=True, gc=False):
    """The last change of one relation: `kind` is its number in `RELATION_KINDS`."""

    kind: int
    id: str
    at: int
    active: bool


class OrderEntry(Struct, array_like=True, gc=False):
    """One order: `paid` is None until its purchase has come; `refunds` are pairs of event-id hash and amount, flat."""

    id: str
    at: int
    paid: int | None
    refunds: list[int]

    @property
    def refunded(self) -> int:
        """What counts as refunded, in minor units: nothing before the purchase, never more than was paid."""
        if self.paid is None or not self.refunds:
            return 0
        return min(self.paid, sum(self.refunds[1::2]))

    @property
    def is_net_paid(self) -> bool:
        """Whether the order is evidence: something was paid and not all of it refunded."""
        return self.paid is not None and self.paid > self.refunded


class State(Struct, array_like=True, gc=False):
    """One user. `since` is when the current layer was entered, None before the first transition.

    `touches` has, per evidence slot, None or [first, last, count] followed, where a layer asks for a count above one, by
    the latest such pairs of time and event-id hash in ascending order.

    `exposures` and `interactions` are the user's pace in those logs in the minute of the last record that counted (`streams.pace`), None
    before the first; `..._before` in the minute last told of before that one.

    `layer_channel` to `layer_guide` are what the latest transition told of its touch: what brought the user to the current layer. States of
    earlier builds end before them; there `layer_channel` is UNTOLD.
    """

    format: int
    layer: int
    seq: int
    base: int
    clock: int
    since: int | None
    touches: list[list[int] | None]
    relations: list[RelationEntry] | None
    orders: list[OrderEntry] | None
    first_at: int | None
    first_channel: LabelRef
    first_campaign: LabelRef
    last_at: int | None
    last_channel: LabelRef
    last_campaign: LabelRef
    last_store: LabelRef
    last_guide: LabelRef
    ring: bytes
    exposures: int | None
    interactions: int | None
    exposures_before: int | None
    interactions_before: int | None
    layer_channel: LabelRef = UNTOLD
    layer_campaign: LabelRef = None
    layer_store: LabelRef = None
    layer_guide: LabelRef = None


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


def new_state(base: int, slots: int) -> State:
    """A user first seen at `base`, without evidence, on the lowest layer."""
    return State(
        FORMAT, 0, 0, base, 0, None, [None] * slots, None, None, None, None, None, None, None, None, None, None, b"", None, None, None,
        None, None,
    )  # fmt: skip


event_hash = xxhash.xxh3_64_digest
"""The 8-byte XXH3-64 of an event id in UTF-8; its first RING_BYTES go into the ring, the whole of it beside refunds and counts."""


def in_ring(ring: bytes, entry: bytes) -> bool:
    """Whether the ring holds the entry, at a place where an entry begins."""
    at = ring.find(entry)
    while at > 0 and at % RING_BYTES:
        at = ring.find(entry, at + 1)
    return at >= 0


def with_entry(ring: bytes, entry: bytes) -> bytes:
    """The ring with the entry added and the oldest gone beyond RING_EVENTS."""
    return ring[-RING_BYTES * (RING_EVENTS - 1) :] + entry
