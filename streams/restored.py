"""One shard of a Redis that has been restored from a backup: what it knows, and the step with which it goes on above what was published."""

from __future__ import annotations

from msgspec import Struct

from schemas.touchpoint import KINDS
from streams.errors import LogGap
from streams.fold import Fold
from streams.forgotten import Forgotten
from streams.labels import Labels
from streams.ladder import Rules
from streams.meta import Meta
from streams.recompute import encode_rules, passage_of
from streams.store import ShardStore
from streams.takeover import LogInspector, refuse_other_partitions


class RestoredConfig(Struct, frozen=True, kw_only=True):
    """As for the workers: the number of shards, and whether losses in the logs, and users of another ladder, are accepted."""

    partitions: int
    continue_on_gap: bool = False
    any_ladder: bool = False


class RestoredShard:
    """`look` at it while nobody works on it, then let it `go_above`. Both raise RedisError, OSError or TimeoutError where Redis does not
    answer, KafkaException where Kafka does not, Conflict if somebody works on it all the same."""

    def __init__(self, shard: int, config: RestoredConfig, rules: Rules, store: ShardStore, inspector: LogInspector) -> None:
        self.shard = shard
        self.published = 0
        """the highest version on its output topics"""
        self.forgotten: list[Forgotten] = []
        """what it has gone on above before"""
        self._config = config
        self._rules = rules
        self._present = rules
        self._store = store
        self._inspector = inspector
        self._meta = Meta()
        self._ladders: dict[str, bytes] = {}

    @property
    def version(self) -> int:
        """The last version that Redis knows."""
        return self._meta.version

    async def look(self) -> None:
        """Reads the shard. Raises ShardStopped or PartitionsChanged where no worker could go on with it."""
        self.published = await self._inspector.published(self.shard)
        loaded = await self._store.load()
        self._meta, self._ladders = loaded.meta, loaded.ladders
        self.forgotten = await self._store.forgotten()
        refuse_other_partitions(self.shard, loaded.meta, self._config.partitions)
        passage = passage_of(self.shard, loaded.meta, loaded.ladders, self._rules, any_ladder=self._config.any_ladder)
        self._present = self._rules if passage is None else passage.old
        begins, self._meta.topic_ids = await self._inspector.begin(self.shard, loaded.meta, continue_on_gap=self._config.continue_on_gap)
        if self.published > self.version and not self._config.continue_on_gap:
            self._refuse_lost_beginnings(begins)

    async def go_above(self, forgotten: Forgotten, now: int, token: str) -> None:
        """Takes an empty step above those that are `forgotten`, so that whoever follows the shard hears of it; `now` is the wall clock in
        epoch milliseconds, `token` names this write."""
        meta, ladder = self._meta, self._present.ladder
        await self._store.read(meta.token, [], None)
        meta.version, meta.partitions = forgotten.up_to, self._config.partitions
        meta.layers = meta.layers or list(self._rules.layers)
        meta.ladder = meta.ladder or ladder.id
        fold = Fold(self._present, Labels([]), meta, {}, shard=self.shard, partitions=self._config.partitions, now=now)
        _, entry = fold.finish()
        meta.token = token
        new = {} if ladder.id in self._ladders else {ladder.id: encode_rules(ladder)}
        await self._store.write(meta, {}, [], [], entry, 0, new, forgotten=forgotten)

    async def close(self) -> None:
        """Closes the connection."""
        await self._store.close()

    def _refuse_lost_beginnings(self, begins: list[int]) -> None:
        """A worker takes a topic of which nothing was applied for a new one, however late it begins."""
        for kind, applied, begin in zip(KINDS, self._meta.offsets, begins, strict=True):
            first = applied + 1
            if begin > first:
                raise LogGap(
                    f"shard {self.shard}: expected {kind.topic} to reach back to offset {first}, found that it begins at {begin}: "
                    f"{begin - first} records are lost. --on-gap continue goes on without them"
                )
