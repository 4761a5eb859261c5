"""A shard's meta: everything about the shard itself that a step reads and writes, as one value and as a Redis hash."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from schemas.touchpoint import KINDS
from streams.errors import StateUnreadable
from streams.formats import FORMAT, refuse_newer


class Moving(Struct, kw_only=True):
    """A change of the ladder under way: users before `index` of the roster stand on the meta's ladder, the others still on `ladder`.

    `moved` counts those whose layer changed, `short` those of whom fewer pieces of an evidence were kept than the new ladder asks for.
    """

    ladder: str
    index: int = 0
    moved: int = 0
    short: int = 0


class Origin(Struct, kw_only=True):
    """Where users of a shard were before it was split off: `shard` of so many `partitions`, which had applied its logs up to `offsets`."""

    shard: int
    partitions: int
    offsets: list[int]


class Splitting(Struct, kw_only=True):
    """The dealing of users, once of one of `before` shards, to it and those split off it. Of the roster the first `left` users are still to
    be looked at; None while what the shard has last said may not have been published."""

    before: int
    left: int | None = None


class Meta(Struct, kw_only=True):
    """`offsets` and `reached` are per input topic, in the order of `KINDS`: the last applied offset (-1: none) and the time up to which
    all of that log is known (-1: none). `sweeping` is the turn being swept, `roster_index` how far; `swept_to` the last turn done.

    `census` has the users of each brand by the layers that `layers` names, lowest first; while users move to a new ladder, those they
    leave are among them. `partial` names evidence that an earlier ladder did not keep as the present one asks for, or
    judged otherwise as junk, with the paces of its topic, and up to which time.
    `senders` holds, per `topic:sender shard`, where on the sender's log the last forwarded record lay that was taken. `token` names the
    step that wrote the meta. `partitions` is the number of shards to which the users are dealt (0: not known).
    `format` is the form of all that the shard keeps; what says nothing of it is in the first.

    Of a shard that has been split, or was split off another: `origins` tell where its users were before, the first first, and records of a
    topic below `placed_to` may have been forwarded to it when there were fewer shards. While `splitting` is set it takes no steps.
    """

    version: int = 0
    token: str = ""
    ladder: str = ""
    watermark: int | None = None
    offsets: list[int] = field(default_factory=lambda: [-1] * len(KINDS))
    reached: list[int] = field(default_factory=lambda: [-1] * len(KINDS))
    sweeping: int | None = None
    roster_index: int = 0
    swept_to: int | None = None
    layers: list[str] = []
    census: dict[str, list[int]] = {}
    moving: Moving | None = None
    partial: dict[str, int] = {}
    senders: dict[str, int] = {}
    topic_ids: dict[str, str] = {}
    partitions: int = 0
    origins: list[Origin] = []
    placed_to: list[int] = []
    splitting: Splitting | None = None
    format: int = FORMAT

    def copy(self) -> Meta:
        """A copy that can be changed without touching this one."""
        return decode_meta(encode_meta(self))


_encode = msgspec.json.Encoder().encode
_NAMES = Meta.__struct_fields__


def encode_meta(meta: Meta) -> dict[str, bytes]:
    """The meta as the fields of a Redis hash, each value JSON."""
    return {name: _encode(getattr(meta, name)) for name in _NAMES}


def decode_meta(fields: dict[str, bytes]) -> Meta:
    """The meta from its hash, `format` that which the next step leaves; an empty hash is a shard that has not started.

    Raises StateUnreadable, or StateTooNew where a later release has written it.
    """
    try:
        refuse_newer(msgspec.json.decode(fields.get("format", b"1"), type=int))
        told = {name: msgspec.json.decode(value) for name, value in fields.items() if name in _NAMES}
        return msgspec.convert({**told, "format": max(FORMAT, told.get("format", 1))}, Meta)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StateUnreadable(f"expected a shard's meta as this release writes it, found: {error}") from None
