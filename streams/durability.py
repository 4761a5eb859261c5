"""Would what Redis has answered survive its end? What a shard's node says of itself, and what is asked before a step is published.

A node that syncs its file before it answers (`appendfsync always`) has a step durably by itself. No other has: WAITAOF of its own file
is no way out, since with `everysec` several releases of Redis and Valkey answer it before they have synced (redis/redis#13793).
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import structlog
from msgspec import Struct

from streams import metrics
from streams.errors import StoreEvicts

log = structlog.get_logger(__name__)

KEEP = "noeviction"
_EXPECTED = "appendonly yes, appendfsync always"


class Node(Struct, frozen=True, kw_only=True):
    """What a node says of itself; None or empty where it does not tell, as managed services may not."""

    policy: str = ""
    appends: bool | None = None
    """whether it writes an append-only file"""
    fsync: str = ""

    @property
    def is_durable(self) -> bool | None:
        """Whether it has on disk what it has answered; None if it does not tell."""
        if self.appends is False or (self.fsync and self.fsync != "always"):
            return False
        return True if self.appends and self.fsync else None


class Asked(Protocol):
    """The side of the shard store that is asked."""

    async def node(self) -> Node: ...
    async def replicas(self, expected: int, timeout: float) -> int: ...


class Durability:
    """Whether the last write of a shard's connection would survive, and the wait until it does. `replicas` is how many must have it."""

    def __init__(self, store: Asked, shard: int, replicas: int = 0, timeout: float = 1.0) -> None:
        self._store = store
        self._shard = shard
        self._replicas = replicas
        self._timeout = timeout
        self._waiting = False

    @property
    def asks(self) -> bool:
        """Whether a write has to be asked after before it may be published."""
        return self._replicas > 0

    async def look(self) -> None:
        """Asks the node what it is, whenever it may be another one. Raises StoreEvicts if it drops users where memory is short."""
        node = await self._store.node()
        if node.policy and node.policy != KEEP:
            raise StoreEvicts(
                f"shard {self._shard}: expected Redis to keep every user (maxmemory-policy {KEEP}), found {node.policy}: "
                "an evicted user is a lost user. Set it, and start the worker again"
            )
        durable = node.is_durable
        if durable is None:
            _warn("redis does not tell whether it is durable: see to it that it is", expected=_EXPECTED)
            return
        metrics.REDIS_DURABLE.labels(str(self._shard)).set(durable)
        if not durable:
            found = f"appendonly {'yes' if node.appends else 'no'}, appendfsync {node.fsync or '(not told)'}"
            _warn("redis is not durable: it may forget what has been published, and the shards then stop", expected=_EXPECTED, found=found)

    async def reached(self) -> bool:
        """Whether the connection's last write has reached as many replicas as it must; waits for it up to the timeout.

        Raises RedisError, OSError or TimeoutError: another connection knows nothing of that write, it needs a fence of its own.
        """
        found = await self._store.replicas(self._replicas, self._timeout)
        if found >= self._replicas:
            if self._waiting:
                log.info("the step has reached its replicas", shard=self._shard, replicas=found)
            self._waiting = False
            return True
        metrics.REPLICA_WAITS.labels(str(self._shard)).inc()
        if not self._waiting:
            self._waiting = True
            log.warning("nothing is published until replicas have the step", shard=self._shard, expected=self._replicas, found=found)
        return False


@cache
def _warn(what: str, **found: str) -> None:
    """Once a process, whatever the number of shards."""
    log.warning(what, **found)
