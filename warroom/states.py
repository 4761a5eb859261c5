"""What Redis says: the shards' meta and single users, read and never written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import ResponseError

from schemas.ladder import Ladder
from streams.errors import LadderChanged
from streams.meta import Meta, decode_meta
from streams.outbox import Entry, decode_entry
from streams.state import State, decode_state
from streams.store import ShardKeys

_PAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """A Redis, or a node of a Redis Cluster; `options` are redis-py's."""

    url: str = field(repr=False)
    prefix: str = "rflow"
    cluster: bool = False
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self) -> Any:
        """A blocking client."""
        make: Any = RedisCluster if self.cluster else Redis
        return make.from_url(self.url, **self.options)


class States:
    """Reads shards as they stand in Redis. Blocking; may be shared by threads. Raises RedisError or OSError."""

    def __init__(self, config: RedisConfig) -> None:
        self._client = config.client()
        self._prefix = config.prefix

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def ping(self) -> None:
        """Raises RedisError if it does not answer."""
        self._client.ping()

    def config(self, name: str) -> set[str]:
        """What the servers' configuration says, each master's of a cluster; empty where they do not tell."""
        try:
            return {str(found.get(name, "")) for found in self._each(lambda **node: self._client.config_get(name, **node))}
        except ResponseError:
            return set()

    def replicas(self) -> int:
        """How many replicas are connected, to the master of a cluster that has fewest."""
        return min(int(found.get("connected_slaves", 0)) for found in self._each(lambda **node: self._client.info("replication", **node)))

    def infos(self) -> list[dict[str, Any]]:
        """What each server (of a cluster: each master) says of itself."""
        return self._each(lambda **node: dict(self._client.info(**node)))

    def times(self) -> list[float]:
        """Each server's clock, epoch seconds."""
        return [seconds + micros / 1e6 for seconds, micros in self._each(lambda **node: self._client.time(**node))]

    def allows(self, *command: str) -> bool:
        """Whether this user may do it, which is not done. Raises ResponseError where the server does not tell."""
        client: Any = self._client
        user = client.execute_command("ACL", "WHOAMI")
        answer = client.execute_command("ACL", "DRYRUN", user, *command)
        return answer in (b"OK", "OK")

    def _each(self, ask: Callable[..., Any]) -> list[Any]:
        if isinstance(self._client, RedisCluster):
            nodes: Any = self._client.get_primaries
            return [ask(target_nodes=node) for node in nodes()]
        return [ask()]

    def meta(self, shard: int) -> Meta:
        """The shard's meta; that of a shard that has not started is empty."""
        return _meta(self._client.hgetall(ShardKeys(self._prefix, shard).meta))

    def metas(self, shards: int) -> list[Meta]:
        """The meta of every shard, in one round trip a node."""
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(shards):
            pipeline.hgetall(ShardKeys(self._prefix, shard).meta)
        return [_meta(fields) for fields in pipeline.execute()]

    def outbox(self, shard: int) -> int:
        """How many entries the shard's outbox holds."""
        return int(self._client.xlen(ShardKeys(self._prefix, shard).outbox))

    def outbox_entries(self, shard: int) -> list[Entry]:
        """What the shard's outbox holds."""
        found = self._client.xrange(ShardKeys(self._prefix, shard).outbox)
        return [decode_entry(values[b"entry"]) for _, values in found]

    def labels(self, shard: int) -> list[str]:
        """The shard's table of labels."""
        return [text.decode() for text in self._client.lrange(ShardKeys(self._prefix, shard).labels, 0, -1)]

    def user(self, shard: int, key: str) -> State | None:
        """One user's state."""
        stored = self._client.get(ShardKeys(self._prefix, shard).user + key)
        return None if stored is None else decode_state(stored)

    def users(self, shard: int) -> Iterator[tuple[str, State | None]]:
        """Every user of the roster by key, in order of first sight."""
        keys = ShardKeys(self._prefix, shard)
        begin = 0
        while names := [name.decode() for name in self._client.lrange(keys.roster, begin, begin + _PAGE - 1)]:
            values = self._client.mget([keys.user + name for name in names])
            for name, value in zip(names, values, strict=True):
                yield name, None if value is None else decode_state(value)
            begin += len(names)


def require_ladder(shard: int, meta: Meta, ladder: Ladder) -> None:
    """Raises LadderChanged unless all of a shard's users stand on `ladder`: the states of others would be misread."""
    if meta.moving is not None or meta.ladder not in ("", ladder.id):
        standing = f"moving from {meta.moving.ladder} to {meta.ladder}" if meta.moving else f"on {meta.ladder}"
        raise LadderChanged(f"shard {shard}: expected its users on {ladder.id}, found them {standing}")


def _meta(fields: dict[bytes, bytes]) -> Meta:
    return decode_meta({name.decode(): value for name, value in fields.items()})
