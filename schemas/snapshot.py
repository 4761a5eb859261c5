"""A snapshot of all users' layers, as `rflow snapshot` writes it: JSON lines, to begin with before following `transitions`.

The first line is a Snapshot, the last an End. Between them stands, for each shard, a Shard and then its users. A shard's picture is
that of one version: all its transitions up to it are in it, none of a later one is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from schemas.positions import Position

FORMAT = "rflow.layers.v1"


class SnapshotBroken(ValueError):
    """A snapshot that cannot be used; the message says on which line, what was expected and what was found."""


class Snapshot(Struct, tag_field="record", tag="snapshot", frozen=True, kw_only=True):
    """What it is a snapshot of; `taken_at` is RFC 3339."""

    format: str
    ladder: str
    partitions: int
    taken_at: str


class Shard(Struct, tag_field="record", tag="shard", frozen=True, kw_only=True):
    """A shard, followed by its `users`. What comes after `version` lies on its partition of `transitions` from `offset` on."""

    shard: int
    version: int
    offset: int
    users: int

    @property
    def position(self) -> Position:
        """Where following begins: every record of `version` and before is in the picture, whatever its index."""
        return Position(self.version + 1, -1, self.offset)


class UserLayer(Struct, tag_field="record", tag="user", frozen=True, kw_only=True):
    """A user and the layer they stand on. `seq` is that of the transition which led there, 0 for none yet; `since` its `effective_at`."""

    brand: str
    user_id: str
    layer: str
    seq: int
    since: str | None = None


class End(Struct, tag_field="record", tag="end", frozen=True, kw_only=True):
    """The last line: the snapshot is whole, with so many users."""

    users: int


_decode = msgspec.json.Decoder(Snapshot | Shard | UserLayer | End).decode
encode_line = msgspec.json.Encoder().encode


def read_snapshot(lines: Iterable[bytes]) -> Iterator[Snapshot | Shard | UserLayer]:
    """The records of a snapshot, in order, but its End. Raises SnapshotBroken: what was taken up to there is then no picture."""
    head: Snapshot | None = None
    users = due = shards = number = 0
    for number, line in enumerate(lines, 1):
        try:
            record = _decode(line)
        except msgspec.DecodeError as error:
            raise SnapshotBroken(f"line {number}: expected a line of a snapshot, found: {error}") from None
        match record:
            case Snapshot() if head is None and record.format == FORMAT:
                head = record
            case Shard() if head is not None and due == 0 and record.shard == shards:
                shards, due = shards + 1, record.users
            case UserLayer() if due > 0:
                users, due = users + 1, due - 1
            case End() if head is not None and due == 0 and shards == head.partitions and record.users == users:
                return
            case _:
                raise SnapshotBroken(f"line {number}: expected {_next(head, shards, due)}, found {line[:200]!r}")
        assert not isinstance(record, End)
        yield record
    raise SnapshotBroken(f"expected {_next(head, shards, due)}, found the end of the file after line {number}: it has been cut")


def _next(head: Snapshot | None, shards: int, due: int) -> str:
    if head is None:
        return f"a snapshot of format {FORMAT}"
    if due:
        return f"{due} more users of shard {shards - 1}"
    return f"shard {shards}" if shards < head.partitions else "the end, with the number of users"
