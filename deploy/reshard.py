"""`rflow reshard`: more partitions of every topic, and the users dealt to the new shards, exactly once.

No worker may run meanwhile, and none can by mistake: from the first write on, those told of the old number are refused by it, those
told of the new one until all users are dealt. Cut short at any point it is run again with the same number, and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from confluent_kafka.cimpl import NewPartitions
from msgspec import Struct

from deploy.members import refuse_members
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import connections_of, ladder_of, process_name, wall_clock
from schemas.kafka_client import AdminClient
from schemas.topics import load_topics
from streams.errors import PartitionsChanged, RflowError
from streams.ladder import Rules
from streams.outbox import Entry
from streams.publisher import Publisher
from streams.split import Split, SplitConfig
from streams.store import ShardStore
from streams.takeover import LogInspector, refuse_forgotten

_SECONDS = 30.0


class Resharded(Struct, frozen=True, kw_only=True):
    """What was done: shards before and after, the topics that got partitions, and users looked at. Of a plan: what there is to do."""

    before: int
    after: int
    topics: list[str]
    users: int
    dealt: bool
    """whether all users are where they belong now"""


def reshard(settings: Settings, after: int, *, plan: bool = False, on_dealt: Callable[[int], None] = lambda _: None) -> Resharded:
    """Deals the users of `settings.partitions` shards to `after` of them; `plan` only looks.

    Raises PartitionsChanged for a number that cannot be, RightMissing, RflowError while workers run and for whatever else an operator has
    to mend, Redis' and Kafka's own errors where one of them does not answer.
    """
    config = SplitConfig(
        before=settings.partitions, after=after, replicas=settings.redis_replicas, replica_timeout=settings.redis_replica_timeout
    )
    require_rights(settings, Process.RESHARD)
    admin = AdminClient(settings.kafka_client())
    refuse_members(admin, settings.group, "with the new number of partitions after this")
    return asyncio.run(_Resharding(settings, config, admin).run(on_dealt, plan=plan))


class _Resharding:
    def __init__(self, settings: Settings, config: SplitConfig, admin: AdminClient) -> None:
        self._settings = settings
        self._config = config
        self._admin = admin
        self._inspector = LogInspector(settings.kafka_client(), settings.topic_prefix, topic_ids=settings.topic_ids)
        self._connections = connections_of(settings)
        token, rules = f"{process_name('reshard')}:{time.time_ns():x}", Rules(ladder_of(settings))
        self._splits = [Split(shard, config, rules, self._store, wall_clock, token) for shard in range(config.before)]

    def _store(self, shard: int) -> ShardStore:
        return ShardStore(self._connections, self._settings.redis_prefix, shard)

    async def run(self, on_dealt: Callable[[int], None], *, plan: bool) -> Resharded:
        looked = 0

        def count(users: int) -> None:
            nonlocal looked
            looked += users
            on_dealt(users)

        try:
            for split in self._splits:
                await self._look(split)
            lacking = _lacking(self._admin, self._settings, self._config.after)
            if plan:
                looked = sum([await split.users() for split in self._splits])
            else:
                await self._run(lacking, count)
        finally:
            for split in self._splits:
                await split.close()
            await self._connections.close()
            self._inspector.close()
        return Resharded(before=self._config.before, after=self._config.after, topics=lacking, users=looked, dealt=not plan)

    async def _run(self, lacking: list[str], on_dealt: Callable[[int], None]) -> None:
        open_ = [split for split in self._splits if not split.is_done]
        # From here on no shard takes a step, so that nothing is forwarded any more to where it lay before.
        for split in open_:
            await split.fence()
        await self._publish([entry for split in open_ for entry in split.outbox])
        _add_partitions(self._admin, lacking, self._config.after)
        for split in open_:
            await split.settle(await self._inspector.ends(split.shard))
        for split in open_:
            await split.deal(on_dealt)

    async def _look(self, split: Split) -> None:
        """As a worker does that takes the shard: neither Kafka nor Redis may have forgotten what the other knows."""
        published = await self._inspector.published(split.shard)
        meta = await split.look()
        refuse_forgotten(split.shard, meta.version, published)
        await self._inspector.begin(split.shard, meta, continue_on_gap=False)

    async def _publish(self, entries: list[Entry]) -> None:
        """All that the shards have said, until Kafka has acknowledged it."""
        if not entries:
            return
        publisher, left, all_done = Publisher(self._settings.kafka_client(), self._settings.topic_prefix), len(entries), asyncio.Event()

        def done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                all_done.set()

        running = asyncio.create_task(publisher.run())
        waiting = asyncio.create_task(all_done.wait())
        try:
            for entry in entries:
                await publisher.publish(entry, done)
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()  # the producer has failed, and says why
        finally:
            waiting.cancel()
            await publisher.close(_SECONDS)
            with contextlib.suppress(RflowError):
                await running


def _lacking(admin: AdminClient, settings: Settings, after: int) -> list[str]:
    """The topics that have as many partitions as before. Raises PartitionsChanged for any other number than before and after."""
    there = admin.list_topics(timeout=_SECONDS).topics
    counts = {name: len(there[name].partitions) for topic in load_topics() if (name := settings.topic_prefix + topic) in there}
    if strange := {name: count for name, count in counts.items() if count not in (settings.partitions, after)}:
        raise PartitionsChanged(
            f"expected {settings.partitions} partitions of every topic, or {after} where some have been added, found "
            f"{', '.join(f'{count} of {name}' for name, count in strange.items())}"
        )
    return [name for name, count in counts.items() if count < after]


def _add_partitions(admin: AdminClient, topics: list[str], after: int) -> None:
    if topics:
        for added in admin.create_partitions([NewPartitions(name, after) for name in topics], request_timeout=_SECONDS).values():
            added.result()
