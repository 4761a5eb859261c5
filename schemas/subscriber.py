"""The subscriber's rule: what makes `transitions` and `rollups` exactly-once for any reader; and which transitions one wants."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec import Struct

from schemas.transition import Transition


class SubscriberRule:
    """Within a partition, drop a record whose (version, index) is not greater than the last one seen.

    Keep `position` with whatever the subscriber stores, in the same transaction, and hand it back after a restart.
    """

    def __init__(self, position: dict[int, tuple[int, int]] | None = None) -> None:
        self.position = dict(position or {})

    def is_new(self, partition: int, version: int, index: int) -> bool:
        """Whether the record is to be taken; if so it becomes the last one seen of its partition."""
        seen = self.position.get(partition)
        if seen is not None and (version, index) <= seen:
            return False
        self.position[partition] = (version, index)
        return True


class Received(Transition, gc=False, kw_only=True):
    """A transition as a reader takes it: a kind or direction that it does not know is no mistake, for more may come within v1."""

    direction: str  # type: ignore[assignment]
    kind: str  # type: ignore[assignment]


decode_transition = msgspec.json.Decoder(Received).decode
"""A transition from its JSON. Raises msgspec.DecodeError."""


class Filter(Struct, frozen=True, kw_only=True):
    """Which transitions are wanted; an empty collection wants any. `channels` are those of the touch behind the transition."""

    brands: Collection[str] = frozenset()
    from_: Collection[str] = msgspec.field(name="from", default=frozenset())
    to: Collection[str] = frozenset()
    kinds: Collection[str] = frozenset()
    directions: Collection[str] = frozenset()
    channels: Collection[str] = frozenset()

    def takes(self, one: Transition) -> bool:
        """Whether it is one of them."""
        return (
            (not self.brands or one.brand in self.brands)
            and (not self.from_ or one.from_ in self.from_)
            and (not self.to or one.to in self.to)
            and (not self.kinds or one.kind in self.kinds)
            and (not self.directions or one.direction in self.directions)
            and (not self.channels or one.touch.channel in self.channels)
        )
