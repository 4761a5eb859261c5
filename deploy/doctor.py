"""What `rflow doctor` looks at: is everything there, does it fit together, is anything at risk?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from confluent_kafka.admin import AdminClient
from msgspec import Struct
from redis.exceptions import RedisError

from deploy.check import StateReader
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.ladder_file import LadderError
from schemas.topics import load_topics
from sinks.errors import SinkError
from streams.meta import Meta
from warroom.star import Star


class Finding(Struct, frozen=True):
    """One thing looked at: what was found, and what to do about it if it is not good."""

    what: str
    good: bool
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Looks at everything; never raises for what it finds."""
    return [finding for look in (_ladder, _kafka, _redis, _clickhouse) for finding in _guarded(look, settings)]


def _guarded(look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except Exception as error:
        yield Finding(look.__name__.strip("_"), False, " ".join(str(error).split())[:200], "see that it runs and can be reached from here")


def _ladder(settings: Settings) -> Iterator[Finding]:
    try:
        ladder = ladder_of(settings)
    except LadderError as error:
        yield Finding("ladder", False, str(error), "mend the file")
    else:
        yield Finding("ladder", True, f"{ladder.id}, {len(ladder.layers)} layers")


def _kafka(settings: Settings) -> Iterator[Finding]:
    admin = AdminClient({**settings.kafka_client(), "socket.timeout.ms": 5000})
    cluster = admin.list_topics(timeout=5)
    yield Finding("kafka", True, f"{len(cluster.brokers)} brokers at {settings.kafka_bootstrap}")
    for name in load_topics():
        topic = cluster.topics.get(settings.topic_prefix + name)
        if topic is None:
            yield Finding(f"topic {name}", False, "not there", "rflow init")
            continue
        count = len(topic.partitions)
        yield Finding(
            f"topic {name}", count == settings.partitions, f"{count} partitions", f"set RFLOW_PARTITIONS={count}, or make the topics anew"
        )


def _redis(settings: Settings) -> Iterator[Finding]:
    with closing(StateReader(settings)) as states:
        try:
            states.ping()
        except (RedisError, OSError) as error:
            yield Finding("redis", False, str(error), "see that it runs and can be reached from here")
            return
        yield Finding("redis", True, "answers")
        for name, expected, why in (
            ("appendonly", "yes", "what has been published must never be forgotten"),
            ("appendfsync", "always", "what has been published must never be forgotten"),
            ("maxmemory-policy", "noeviction", "an evicted user is a lost user"),
        ):
            found = states.config(name)
            # A managed service may not let it be asked; then it is for its own settings to say.
            shown = ", ".join(sorted(found)) or f"not told: see to it that it is {expected}"
            yield Finding(f"redis {name}", found <= {expected}, shown, f"set it to {expected}: {why}")
        if settings.redis_replicas:
            count = states.replicas()
            yield Finding(
                "redis replicas",
                count >= settings.redis_replicas,
                f"{count} connected",
                f"nothing is published until {settings.redis_replicas} of them have it (RFLOW_REDIS_REPLICAS)",
            )
        yield _standing([states.meta(shard) for shard in range(settings.partitions)], ladder_of(settings).id)


def _standing(metas: list[Meta], ladder: str) -> Finding:
    """Whether every shard's users stand on the ladder."""
    found = sorted({f"{meta.moving.ladder} moving to {meta.ladder}" if meta.moving else meta.ladder for meta in metas if meta.ladder})
    return Finding(
        "redis ladder",
        set(found) <= {ladder},
        ", ".join(found) or "no state yet",
        f"workers with {ladder} move the users to a newer version",
    )


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    try:
        with Star(clickhouse_of(settings)) as star:
            stored = star.stored()
    except SinkError as error:
        yield Finding("clickhouse", False, " ".join(str(error).split())[:200], "see that it runs; rflow init makes the tables")
        return
    yield Finding("clickhouse", True, f"database {settings.clickhouse_database}")
    yield Finding(
        "clickhouse shards", len(stored) == settings.partitions, f"{len(stored)} shards", "rflow init, with the right RFLOW_PARTITIONS"
    )
    try:
        with closing(StateReader(settings)) as states:
            behind = {shard: states.meta(shard).version - row.version for shard, row in stored.items()}
    except (RedisError, OSError):
        return  # told of Redis
    worst = max(behind.values(), default=0)
    yield Finding("sink lag", worst < 1000, f"{worst} steps at most", "see that the sink runs")
    forgotten = [shard for shard, steps in behind.items() if steps < 0]
    yield Finding(
        "redis and clickhouse",
        not forgotten,
        f"shards {forgotten} are ahead in ClickHouse" if forgotten else "fit together",
        "Redis has been emptied or restored from an older state",
    )
