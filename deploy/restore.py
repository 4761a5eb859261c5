"""`rflow restored`: after a restore of Redis and ClickHouse from backups, makes the two fit together and Kafka with them.

A restored Redis stands at a version that lies below what has been published. The steps between are forgotten: the workers take their
touchpoints again, under versions above. So that nothing counts twice, ClickHouse is told first which steps to pass over, and only then
each shard in Redis goes on above them. Cut short at any point it is run again, and comes to the same.

ClickHouse must not be ahead of Redis: it would hold a part of what is told again. So its backup has to be the older one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from msgspec import Struct

from deploy.desk import desk_of
from deploy.members import refuse_members
from deploy.processes.sink import sink_config
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, connections_of, ladder_of, process_name, redis_of, wall_clock
from schemas.kafka_client import AdminClient
from sinks.errors import SinkError
from sinks.migrate import pending
from sinks.reader import KafkaAway
from sinks.restored import Figures, Stored
from streams.errors import RflowError
from streams.forgotten import Forgotten
from streams.ladder import Rules
from streams.restored import RestoredConfig, RestoredShard
from streams.store import ShardStore
from streams.takeover import LogInspector
from warroom.alerts.book import opened
from warroom.alerts.catch_up import catch_up, told_alerts


class ShardFound(Struct, frozen=True, kw_only=True):
    """A shard's last versions: what Redis knows, what has been published, what ClickHouse has; and how many steps are `forgotten`."""

    shard: int
    redis: int
    published: int
    clickhouse: int
    forgotten: int


class Restored(Struct, frozen=True, kw_only=True):
    """What was done, or, unless `done`, what there is to do. `told` counts steps forgotten in an earlier restore of which this ClickHouse
    had not been told, `promotions` the versions of promotions that only the topic had, `alerts` those of which more was told than Redis
    knew."""

    shards: list[ShardFound]
    told: int
    promotions: int
    alerts: int
    done: bool

    @property
    def forgotten(self) -> int:
        """How many steps are forgotten, of all shards."""
        return sum(shard.forgotten for shard in self.shards)


def restored(settings: Settings, *, plan: bool = False) -> Restored:
    """Makes Redis, ClickHouse and Kafka fit together; `plan` only looks.

    Raises RightMissing, RflowError while workers run, and where they cannot be made to fit, naming each reason; else the errors of
    whichever of the three does not answer.
    """
    require_rights(settings, Process.RESTORED)
    refuse_members(AdminClient(settings.kafka_client()), settings.group, "after this")
    if missing := pending(clickhouse_of(settings)):
        names = ", ".join(f"{one.number:04d}_{one.name}" for one in missing)
        raise RflowError(f"expected ClickHouse's tables as this release makes them, found {names} missing: `rflow init`, then this again")
    with closing(Figures(sink_config(settings))) as figures:
        return asyncio.run(_Restoring(settings, figures).run(plan=plan))


def steps_to_forget(
    shard: int, known: int, published: int, stored: int, in_redis: Sequence[Forgotten], in_clickhouse: Sequence[Forgotten]
) -> Forgotten | None:
    """The steps of a shard to be forgotten, if any: `known` is Redis' last version, `stored` ClickHouse's, each with what it knows to have
    been forgotten before.

    Raises RflowError where something would then count twice, or not at all.
    """
    if stored > known:
        raise RflowError(
            f"shard {shard}: expected ClickHouse to have no step that Redis does not know, found version {stored} there, {known} in Redis: "
            "restore ClickHouse from a backup made before Redis'"
        )
    if (one := next((one for one in in_redis if one not in in_clickhouse and stored > one.above), None)) is not None:
        raise RflowError(
            f"shard {shard}: expected ClickHouse to have none of the steps {one.above + 1} to {one.up_to}, which Redis forgot in an "
            f"earlier restore, found version {stored}: restore it from a backup made after that, or from one that ends below"
        )
    if (one := next((one for one in in_clickhouse if one.has(known)), None)) is not None:
        raise RflowError(
            f"shard {shard}: expected Redis to know none of the steps {one.above + 1} to {one.up_to}, which ClickHouse was told to pass "
            f"over, found version {known}: it is from another backup than last time. Restore ClickHouse, too, then run this again"
        )
    return Forgotten(known, published) if published > known else None


class _Restoring:
    def __init__(self, settings: Settings, figures: Figures) -> None:
        self._settings = settings
        self._figures = figures
        self._inspector = LogInspector(settings.kafka_client(), settings.topic_prefix, topic_ids=settings.topic_ids)
        self._connections = connections_of(settings)
        config = RestoredConfig(
            partitions=settings.partitions,
            continue_on_gap=settings.on_gap == "continue",
            any_ladder=settings.on_ladder_change == "recompute",
        )
        rules = Rules(ladder_of(settings))
        self._shards = [RestoredShard(shard, config, rules, self._store(shard), self._inspector) for shard in range(settings.partitions)]

    def _store(self, shard: int) -> ShardStore:
        return ShardStore(self._connections, self._settings.redis_prefix, shard)

    async def run(self, *, plan: bool) -> Restored:
        try:
            stored, forgotten = await self._look()
            told = {shard.shard: _lacking(shard.forgotten, stored.forgotten.get(shard.shard, [])) for shard in self._shards}
            found = [self._found(shard, stored, forgotten.get(shard.shard)) for shard in self._shards]
            if not plan:
                await self._run(stored, told, forgotten)
            with desk_of(self._settings) as desk:
                promotions = desk.behind() if plan else desk.recover().from_topic
            alerts = self._catch_up(restored=bool(forgotten), plan=plan)
        finally:
            for shard in self._shards:
                await shard.close()
            await self._connections.close()
            self._inspector.close()
        steps = sum(one.up_to - one.above for ranges in told.values() for one in ranges)
        return Restored(shards=found, told=steps, promotions=promotions, alerts=alerts, done=not plan)

    def _catch_up(self, *, restored: bool, plan: bool) -> int:
        """Brings the alerts' book up to what was told of alerts."""
        settings = self._settings
        with opened(redis_of(settings)) as book:
            told = told_alerts(settings.kafka_client(), settings.topic_prefix, settings.partitions)
            return catch_up(book, told, wall_clock(), restored=restored, plan=plan)

    async def _look(self) -> tuple[Stored, dict[int, Forgotten]]:
        """All that can be wrong is looked for before anything is written, and told at once."""
        await self._inspector.check_partitions(self._settings.partitions)
        stored = self._figures.look()
        wrong = list(self._wrong_in_clickhouse(stored))
        forgotten: dict[int, Forgotten] = {}
        for shard in self._shards:
            try:
                await shard.look()
                known, has = stored.forgotten.get(shard.shard, []), stored.versions[shard.shard]
                steps = steps_to_forget(shard.shard, shard.version, shard.published, has, shard.forgotten, known)
            except RflowError as error:
                wrong.append(str(error))
            else:
                if steps is not None:
                    forgotten[shard.shard] = steps
        if wrong:
            raise RflowError("; ".join(wrong))
        return stored, forgotten

    def _wrong_in_clickhouse(self, stored: Stored) -> Iterator[str]:
        if stored.uneven and self._settings.on_gap != "continue":
            yield (
                f"expected the tables of ClickHouse to end with block {stored.block}, the last in sink_blocks, found another end of "
                f"{', '.join(stored.uneven)}: a sink ran while the backup was made, or runs now. Restore from another backup"
            )
        try:
            self._figures.check_logs(stored.reads)
        except (SinkError, KafkaAway) as error:
            yield str(error)

    def _found(self, shard: RestoredShard, stored: Stored, forgotten: Forgotten | None) -> ShardFound:
        return ShardFound(
            shard=shard.shard,
            redis=shard.version,
            published=shard.published,
            clickhouse=stored.versions[shard.shard],
            forgotten=0 if forgotten is None else forgotten.up_to - forgotten.above,
        )

    async def _run(self, stored: Stored, told: dict[int, list[Forgotten]], forgotten: dict[int, Forgotten]) -> None:
        if (block := self._figures.block()) != stored.block:
            raise RflowError(
                f"expected no sink at work, found that block {block} has come after {stored.block}: stop it, then run this again"
            )
        # 1. ClickHouse passes over what is told again, before any of it can be told again.
        self._figures.forget(
            {shard.shard: [*told[shard.shard], *([forgotten[shard.shard]] if shard.shard in forgotten else [])] for shard in self._shards}
        )
        # 2. Each shard goes on above.
        token = f"{process_name('restored')}:{time.time_ns():x}"
        for shard in self._shards:
            if (steps := forgotten.get(shard.shard)) is not None:
                await shard.go_above(steps, wall_clock(), f"{token}:{shard.shard}")


def _lacking(in_redis: Sequence[Forgotten], in_clickhouse: Sequence[Forgotten]) -> list[Forgotten]:
    """What ClickHouse, restored from a backup of before, has not been told of."""
    return [one for one in in_redis if one not in in_clickhouse]
