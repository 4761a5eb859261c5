"""The shard store: one shard's meta, users, roster, labels and outbox in Redis, written together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from redis.exceptions import NoPermissionError, RedisError

from streams.crash import CrashPoint, crash_point
from streams.durability import Node
from streams.errors import Conflict, StateUnreadable
from streams.forgotten import Forgotten
from streams.labels import Labels
from streams.link import Command, Connections, Link
from streams.meta import Meta, decode_meta, encode_meta
from streams.outbox import Entry, decode_entry, encode_entry
from streams.replayed import KEPT_MS


class Loaded(NamedTuple):
    """A shard as Redis knows it; `outbox` holds the entries not yet trimmed, in order of version, `ladders` the rules of every ladder that
    its users have stood on, by id."""

    meta: Meta
    labels: Labels
    outbox: list[Entry]
    ladders: dict[str, bytes]


class ShardKeys:
    """The names of a shard's keys. All share the hash tag `{shard}`, so that they lie in one slot of a cluster."""

    def __init__(self, prefix: str, shard: int) -> None:
        base = f"{prefix}:{{{shard}}}"
        self.meta = f"{base}:meta"
        self.roster = f"{base}:roster"
        self.labels = f"{base}:labels"
        self.outbox = f"{base}:outbox"
        self.ladders = f"{base}:ladders"
        self.fence = f"{base}:fence"
        self.replayed = f"{base}:replayed"
        self.forgotten = f"{base}:forgotten"
        self.user = f"{base}:u:"


class ShardStore:
    """One shard in Redis. Raises RedisError, OSError or TimeoutError when Redis does not answer or refuses."""

    def __init__(self, connections: Connections, prefix: str, shard: int, *, timeout: float = 8.0) -> None:
        self.keys = ShardKeys(prefix, shard)
        self._link = Link(connections, self.keys.meta, timeout=timeout)
        self._waitaof = True

    async def load(self) -> Loaded:
        """Reads the shard anew: meta, labels, outbox, ladders, as they were at one instant."""
        keys = self.keys
        replies = await self._link.call(
            ("MULTI",),
            ("HGETALL", keys.meta),
            ("LRANGE", keys.labels, 0, -1),
            ("XRANGE", keys.outbox, "-", "+"),
            ("HGETALL", keys.ladders),
            ("EXEC",),
        )
        await self._check(replies)
        await self._check(replies[-1])
        fields, labels, outbox, ladders = replies[-1]
        meta = decode_meta(_pairs(fields))
        try:
            entries = [decode_entry(values[1]) for _, values in outbox]
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise StateUnreadable(f"expected outbox entries as this release writes them under {keys.outbox}, found: {error}") from None
        return Loaded(meta, Labels([label.decode() for label in labels]), entries, _pairs(ladders))

    async def read(self, token: str, users: Sequence[str], roster: tuple[int, int] | None) -> tuple[list[bytes | None], list[str]]:
        """The stored states of `users` (keys `BRAND:USER`), and the `roster` entries from one index to another, inclusive.

        From here until `write` the shard is watched. Raises Conflict if meta's token is not `token`.
        """
        keys = self.keys
        commands: list[Command] = [("WATCH", keys.meta), ("HGET", keys.meta, "token")]
        if roster is not None:
            commands.append(("LRANGE", keys.roster, *roster))
        if users:
            commands.append(("MGET", *[keys.user + user for user in users]))
        replies = await self._link.call(*commands)
        await self._check(replies)
        found = replies[1]
        if (found or b'""').decode() != f'"{token}"':
            raise Conflict(f"expected the shard as step {token or '(none)'} left it, found {found!r}")
        names = [entry.decode() for entry in replies[2]] if roster is not None else []
        return (replies[-1] if users else []), names

    async def read_more(self, users: Sequence[str]) -> list[bytes | None]:
        """The stored states of further users of the same step."""
        replies = await self._link.call(("MGET", *[self.keys.user + user for user in users]))
        await self._check(replies)
        states: list[bytes | None] = replies[0]
        return states

    async def replayed(self, places: Sequence[str]) -> frozenset[str]:
        """Those of the replays of dead letters that the shard has taken before."""
        replies = await self._link.call(("ZMSCORE", self.keys.replayed, *places))
        await self._check(replies)
        return frozenset(place for place, taken_at in zip(places, replies[0], strict=True) if taken_at is not None)

    async def write(
        self,
        meta: Meta,
        states: dict[str, bytes],
        newcomers: list[str],
        labels: list[str],
        entry: Entry | None,
        trim_to: int,
        ladders: Mapping[str, bytes] = MappingProxyType({}),
        replays: Sequence[str] = (),
        forgotten: Forgotten | None = None,
    ) -> None:
        """Writes a step, all or nothing, and trims the outbox up to version `trim_to`; `ladders` are rules that Redis does not hold yet,
        `forgotten` the steps above which this one goes on. Without an `entry` it has nothing to say. Raises Conflict if the shard
        has moved."""
        keys = self.keys
        commands: list[Command] = [("MULTI",)]
        if states:
            flat: list[str | bytes] = ["MSET"]
            for user, state in states.items():
                flat += (keys.user + user, state)
            commands.append(flat)
        commands.append(("HSET", keys.meta, *[part for pair in encode_meta(meta).items() for part in pair]))
        if ladders:
            commands.append(("HSET", keys.ladders, *[part for pair in ladders.items() for part in pair]))
        if newcomers:
            commands.append(("RPUSH", keys.roster, *newcomers))
        if labels:
            commands.append(("RPUSH", keys.labels, *labels))
        if entry is not None:
            commands.append(("XADD", keys.outbox, f"{entry.version}-0", "entry", encode_entry(entry)))
            if replays:
                commands.append(("ZADD", keys.replayed, *[part for place in replays for part in (entry.detected_at, place)]))
                commands.append(("ZREMRANGEBYSCORE", keys.replayed, "-inf", entry.detected_at - KEPT_MS))
        if forgotten is not None:
            commands.append(("HSET", keys.forgotten, *forgotten))
        if trim_to > 0:
            commands.append(("XTRIM", keys.outbox, "MINID", f"{trim_to + 1}-0"))
        await self._exec(commands)

    async def let_go(self, meta: Meta, kept: Sequence[str], gone: Sequence[str]) -> None:
        """Takes users off the head of the roster, those `kept` to its end, and forgets those `gone`; all or nothing, as `write`."""
        keys = self.keys
        commands: list[Command] = [
            ("MULTI",),
            ("HSET", keys.meta, *[part for pair in encode_meta(meta).items() for part in pair]),
            ("LTRIM", keys.roster, len(kept) + len(gone), -1),
        ]
        if kept:
            commands.append(("RPUSH", keys.roster, *kept))
        if gone:
            commands.append(("UNLINK", *[keys.user + user for user in gone]))
        await self._exec(commands)

    async def roster_length(self) -> int:
        """How many users the shard has."""
        replies = await self._link.call(("LLEN", self.keys.roster))
        await self._check(replies)
        return int(replies[0])

    async def forgotten(self) -> list[Forgotten]:
        """The steps that were published and that the shard, restored from a backup, has gone on above."""
        replies = await self._link.call(("HGETALL", self.keys.forgotten))
        await self._check(replies)
        return sorted(Forgotten(int(above), int(up_to)) for above, up_to in _pairs(replies[0]).items())

    async def _exec(self, commands: list[Command]) -> None:
        commands.append(("EXEC",))
        crash_point(CrashPoint.STEP_BEFORE_EXEC)
        replies = await self._link.call(*commands, same=True)
        crash_point(CrashPoint.STEP_AFTER_EXEC)
        await self._check(replies)
        if replies[-1] is None:
            raise Conflict("someone else moved the shard between the read and the write")
        await self._check(replies[-1])

    async def fence(self) -> None:
        """A write on this connection, so that `replicas` tells of all that was written before it, by whomever."""
        await self._check(await self._link.call(("SET", self.keys.fence, 1)))

    async def node(self) -> Node:
        """What the node that holds the shard says of itself."""
        info, fsync = await self._link.call(("INFO",), ("CONFIG", "GET", "appendfsync"))
        told = {} if isinstance(info, RedisError) else dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return Node(
            policy=told.get("maxmemory_policy", ""),
            appends=told["aof_enabled"] == "1" if "aof_enabled" in told else None,
            fsync="" if isinstance(fsync, RedisError) or len(fsync) < 2 else fsync[1].decode(),
        )

    async def replicas(self, expected: int, timeout: float) -> int:
        """How many replicas have what this connection wrote last, as soon as it is `expected` or `timeout` seconds (well below the link's)
        have passed: have it in their files where the node knows WAITAOF (Redis 7.2, Valkey) and lets it be used, else in memory."""
        wait = max(1, round(timeout * 1000))
        if self._waitaof:
            (reply,) = await self._link.call(("WAITAOF", 0, expected, wait), same=True)
            if not isinstance(reply, NoPermissionError) and not (isinstance(reply, RedisError) and "unknown command" in str(reply)):
                await self._check([reply])
                return int(reply[1])
            self._waitaof = False
        (reply,) = await self._link.call(("WAIT", expected, wait), same=True)
        await self._check([reply])
        return int(reply)

    async def release(self) -> None:
        """Ends the watch of a step that wrote nothing."""
        await self._link.call(("UNWATCH",))

    async def close(self) -> None:
        """Closes the shard's connection."""
        await self._link.close()

    async def _check(self, replies: list[Any]) -> None:
        for reply in replies:
            if isinstance(reply, RedisError):
                # Whatever it was, the connection may be inside a transaction or on a node that no longer holds the shard.
                await self._link.moved()
                if "WRONGTYPE" in str(reply):
                    raise StateUnreadable(f"expected rflow's own keys under {self.keys.meta}, found: {reply}")
                raise reply


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    """A hash as Redis answers with it."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
