"""Looks all the time at how far the figures are: which step of each shard is applied in Redis, and which is stored in ClickHouse."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import msgspec
import redis

from deploy.settings import Settings
from streams.store import ShardKeys

EVERY_S = 0.2
_ANSWER_S = 1.0


class Watch:
    """`start`, then ask; times are monotonic seconds. It goes to the servers directly, past the proxies."""

    def __init__(self, settings: Settings) -> None:
        self._shards = range(settings.partitions)
        self._keys = [ShardKeys(settings.redis_prefix, shard).meta for shard in self._shards]
        url = settings.redis_url.get_secret_value()
        self._redis = redis.Redis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S)
        self._address = settings.clickhouse_url.get_secret_value().rpartition("/")[2]
        self._statement = (
            f"SELECT groupArray((shard, version)) FROM "
            f"(SELECT shard, max(version) AS version FROM {settings.clickhouse_database}.shards GROUP BY shard) FORMAT JSONCompact"
        )
        self._moves: list[list[tuple[float, int]]] = [[] for _ in self._shards]
        self._applied = [0 for _ in self._shards]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.slowest_look = 0.0
        """seconds between two looks, at most"""

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._redis.close()

    def stored(self) -> list[int]:
        """The last step stored of each shard, as of the last look."""
        return [moves[-1][1] if moves else 0 for moves in self._moves]

    def mark(self) -> list[int]:
        """The last step of each shard that anybody knows of by now."""
        with suppress(redis.RedisError, OSError):  # what was seen last must do while it does not answer
            self._look_at_redis()
        return [max(pair) for pair in zip(self._applied, self.stored(), strict=True)]

    def moved(self, since: Sequence[int]) -> float | None:
        """When the figures of the last shard had moved past these steps; None if they have not yet."""
        times = [next((at for at, version in list(moves) if version > mark), None) for moves, mark in zip(self._moves, since, strict=True)]
        return max((at for at in times if at is not None), default=None) if None not in times else None

    def stand_still(self, begin: float, end: float) -> float:
        """The longest time within a span in which some shard's figures did not move."""
        longest = 0.0
        for moves in self._moves:
            inside = [at for at, _ in list(moves) if begin < at < end]
            times = [begin, *inside, end]
            longest = max(longest, *(after - before for before, after in pairwise(times)))
        return longest

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing.is_set():
            began = time.monotonic()
            # What does not answer is down, or stands still: a fault under way.
            with suppress(redis.RedisError, OSError):
                self._look_at_redis()
            with suppress(OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError):
                self._look_at_clickhouse()
            due = max(due + EVERY_S, time.monotonic())
            self._closing.wait(due - time.monotonic())
            self.slowest_look = max(self.slowest_look, time.monotonic() - began)

    def _look_at_redis(self) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for key in self._keys:
                pipe.hget(key, "version")
            for shard, found in enumerate(pipe.execute()):
                self._applied[shard] = max(self._applied[shard], int(found or 0))

    def _look_at_clickhouse(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=_ANSWER_S)
        try:
            connection.request("POST", "/", body=self._statement)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return
            now = time.monotonic()
            for shard, version in msgspec.json.decode(body)["data"][0][0]:
                if int(shard) not in self._shards:
                    continue  # it has been split off since
                moves = self._moves[int(shard)]
                if int(version) > (moves[-1][1] if moves else 0):
                    moves.append((now, int(version)))
        finally:
            connection.close()
