"""Bytes a user in Redis, all told: the difference in `used_memory` that a million users make, and what it consists of."""

from __future__ import annotations

import asyncio
import random

from msgspec import Struct

from bench.backlog import open_log, produce
from bench.load import BRAND, EVENING_MS, Load, passes
from bench.machine import SERVER_CORE, WORKER_CORE, on_cores
from bench.rflow import PARTITIONS, Progress, worker_spec
from bench.servers import Servers, servers
from bench.throughput import Say
from schemas.partition import partition_of
from sources.producer import broadcast_tick
from streams.store import ShardKeys

_SAMPLE = 2_000
_TICKS = 5
_TICK_S = 0.3


class Population(Struct, frozen=True, kw_only=True):
    """How many users, and between how many events each has had."""

    users: int
    fewest: int
    most: int


class Memory(Struct, frozen=True, kw_only=True):
    """One population in Redis. All but `users` and `events` are bytes a user.

    `total` is the difference in `used_memory`. `key` is MEMORY USAGE of a user's key: name, value and entry, of which `state` is the
    value's own length. `other` are meta, labels and what the outbox keeps; `index` is the rest, the table of keys above all.
    """

    population: Population
    events: int
    total: float
    key: float
    state: float
    roster: float
    other: float
    index: float


async def measure(populations: list[Population], say: Say) -> list[Memory]:
    """Each population in turn, in an empty Redis."""
    found = []
    with on_cores(SERVER_CORE):
        async with servers([SERVER_CORE]) as stack:
            for number, population in enumerate(populations):
                found.append(memory := await _population(stack, f"memory{number}.", population))
                await stack.clear()
                say(f"{population.users:,} users with {population.fewest} to {population.most} events: {memory.total:.1f} bytes each")
    return found


async def _population(stack: Servers, prefix: str, population: Population) -> Memory:
    empty = _used(stack)
    await stack.create_topics(prefix, PARTITIONS)
    load = Load(3, population.users, PARTITIONS)
    async with stack.running(worker_spec(stack, prefix), cores=[WORKER_CORE]) as (worker,):
        with open_log(stack.bootstrap, prefix) as log:
            events = await produce(log, passes(load, population.users, population.fewest, population.most))
            await Progress(stack.redis, prefix).wait(log.ends, worker)
            # Acknowledged entries are trimmed by the step that comes next.
            for i in range(_TICKS):
                await asyncio.sleep(_TICK_S)
                await broadcast_tick(log, EVENING_MS + i, PARTITIONS)
                await log.drained()
            await Progress(stack.redis, prefix).wait(log.ends, worker)
    while stack.redis.info("persistence").get("aof_rewrite_in_progress"):
        await asyncio.sleep(0.5)
    return _weigh(stack, prefix.strip("."), population, events, _used(stack) - empty)


def _weigh(stack: Servers, prefix: str, population: Population, events: int, used: int) -> Memory:
    shards = [ShardKeys(prefix, shard) for shard in range(PARTITIONS)]
    users = sum(int(stack.redis.llen(keys.roster)) for keys in shards)
    names = [f"u{user:07d}" for user in random.Random(4).sample(range(population.users), min(_SAMPLE, population.users))]
    sample = [shards[partition_of(name, PARTITIONS)].user + f"{BRAND}:{name}" for name in names]
    values = [value for value in stack.redis.mget(sample) if value is not None]
    sampled = [_usage(stack, name) for name in sample]
    key = sum(sampled) / len([size for size in sampled if size])
    roster = sum(_usage(stack, keys.roster) for keys in shards) / users
    other = sum(_usage(stack, name) for keys in shards for name in (keys.meta, keys.labels, keys.outbox)) / users
    total = used / users
    return Memory(
        population=population,
        events=events,
        total=total,
        key=key,
        state=sum(map(len, values)) / len(values),
        roster=roster,
        other=other,
        index=total - key - roster - other,
    )


def _used(stack: Servers) -> int:
    return int(stack.redis.info("memory")["used_memory"])


def _usage(stack: Servers, key: str) -> int:
    """MEMORY USAGE of a key, all its elements counted; 0 if there is none."""
    return int(stack.redis.memory_usage(key, samples=0) or 0)
