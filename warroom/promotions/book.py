"""The book of promotions in Redis: which version is current, every version there was, and what is not on the topic yet.

A change is saved by comparing and setting in one script, so of two that set out from the same version one is refused, whatever process
they come from. See `warroom.promotions.scripts` for the keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import msgspec
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisError

from schemas.promotion import Promotion
from warroom.promotions import scripts
from warroom.promotions.errors import DeskAway
from warroom.states import RedisConfig

_STALE_MS = 30_000
"""Longer than a publisher holds on to anything (`topic.DELIVERY_SECONDS`)."""

encode = msgspec.json.encode
decode = msgspec.json.Decoder(Promotion).decode


class Scripts(Protocol):
    """What the book needs of a Redis client, or a Redis Cluster's."""

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...


@contextmanager
def connected(config: RedisConfig) -> Iterator[Book]:
    """The book in that Redis or Redis Cluster, while it is needed."""
    make: Any = RedisCluster if config.cluster else Redis
    client = make.from_url(config.url, **{"socket_timeout": 10, "socket_connect_timeout": 5, **config.options})
    try:
        yield Book(client, config.prefix)
    finally:
        if config.cluster:
            client.disconnect_connection_pools()  # its close alone leaves the nodes' connections open
        client.close()


class NotRecovered(Exception):
    """This Redis is new or was emptied: what the topic holds must be taken in first."""


class Waiting(NamedTuple):
    """A version that Kafka has not acknowledged; `entry` is its place in the outbox."""

    entry: bytes
    promotion_id: str
    version: int
    record: bytes


class TakenIn(NamedTuple):
    """What recovery did: versions that only the topic had, versions that only Redis had and that now wait to be published."""

    from_topic: int
    to_topic: int


class Book:
    """The keys under `prefix`. Every method raises DeskAway when Redis does not answer."""

    def __init__(self, client: Scripts, prefix: str) -> None:
        self._client = client
        base = f"{prefix}:{{promotions}}"
        self._heads, self._records, self._outbox = f"{base}:heads", f"{base}:records", f"{base}:outbox"
        self._claims, self._meta = f"{base}:claims", f"{base}:meta"

    def save(self, promotion: Promotion) -> bool:
        """Save a version as the one that follows the one before it; False if that is not the newest. Raises NotRecovered."""
        keys = (self._heads, self._records, self._outbox, self._meta)
        found = self._run(scripts.SAVE, keys, promotion.promotion_id, promotion.version - 1, encode(promotion))
        if found == b"unknown redis":
            raise NotRecovered
        if found == b"saved":
            return True
        # a reply that was lost, and the question asked again: the version found may be this very one
        return found >= promotion.version and promotion in self.versions(promotion.promotion_id)

    def versions(self, promotion_id: str) -> list[Promotion]:
        """Every version there is of a promotion, oldest first; empty if it is unknown. Raises NotRecovered."""
        found = self._run(scripts.VERSIONS, (self._heads, self._records, self._meta), promotion_id)
        return [decode(record) for record in self._recovered(found)]

    def newest(self) -> list[Promotion]:
        """The newest version of every promotion, by id. Raises NotRecovered."""
        found = self._run(scripts.HEADS, (self._heads, self._records, self._meta))
        return sorted((decode(record) for record in self._recovered(found)), key=lambda one: one.promotion_id)

    def claim(self, token: str) -> list[Waiting]:
        """What waits to be published, in the order of the changes. `settle` when it has been."""
        keys = (self._heads, self._records, self._outbox, self._claims)
        rows = self._run(scripts.CLAIM, keys, token, _STALE_MS)
        return [Waiting(entry, id_.decode(), int(version), record) for entry, id_, version, record in rows]

    def settle(self, token: str, published: Sequence[Waiting]) -> int:
        """These have been acknowledged; returns how many wait now: newer ones, and what must be told again to stand last."""
        told = [part for one in published for part in (one.entry, one.promotion_id, one.version)]
        return int(self._run(scripts.SETTLE, (self._heads, self._outbox, self._claims), token, *told))

    def take_in(self, on_topic: Sequence[tuple[Promotion, bytes]]) -> TakenIn:
        """Take in what the topic holds, and queue what it lacks. Can be repeated."""
        told = [part for one, record in on_topic for part in (one.promotion_id, one.version, record)]
        return TakenIn(*self._run(scripts.TAKE_IN, (self._heads, self._records, self._outbox, self._meta), *told))

    def _run(self, script: str, keys: tuple[str, ...], *arguments: Any) -> Any:
        with _told_apart():
            return self._client.eval(script, len(keys), *keys, *arguments)

    @staticmethod
    def _recovered(found: Any) -> list[bytes]:
        if found is None:
            raise NotRecovered
        return list(found)


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise DeskAway(f"Redis does not answer: {error}; `rflow promotion history` tells later whether a change was saved") from error
