"""What a ClickHouse that has been restored from a backup holds: how far each shard is stored, whether its tables are of one moment, and
which steps it was told to pass over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from msgspec import Struct

from sinks.config import SinkConfig
from sinks.decision import Lane, Mark, Opening, Settling, Stream, opening, settling
from sinks.reader import Reader
from sinks.store import LastBlock, Store
from sinks.tables import STEPS, TABLES
from streams.forgotten import Forgotten


class Stored(Struct, frozen=True, kw_only=True):
    """The last `block`, 0 for none, and by shard the version up to which all is stored, be it once that block is settled.

    `reads` is where the sink goes on to read; `forgotten` are by shard the steps that it passes over. `uneven` names tables that hold more
    or less than the log of blocks says.
    """

    block: int
    versions: dict[int, int]
    reads: dict[Lane, int]
    forgotten: dict[int, list[Forgotten]]
    uneven: list[str]


class Figures:
    """The sink's database, while no sink runs. Every method raises StoreAway or StoreError."""

    def __init__(self, config: SinkConfig) -> None:
        self._config = config
        self._store = Store(config.clickhouse)

    def look(self) -> Stored:
        """Reads back how far everything is stored."""
        last = self._store.last_block()
        marks = _marks(last)
        lanes = [Lane(stream, partition) for stream in Stream for partition in range(self._config.partitions)]
        return Stored(
            block=last.plan.block if last else 0,
            versions={shard: _version(last, shard) for shard in range(self._config.partitions)},
            reads={lane: marks.get(lane, Mark()).offset for lane in lanes},
            forgotten=self._store.forgotten(),
            uneven=list(self._uneven(last)),
        )

    def check_logs(self, reads: Mapping[Lane, int]) -> None:
        """Raises LogGap or LogStale where a log does not reach from there on, KafkaAway."""
        with closing(Reader(self._config)) as reader:
            reader.check_topics()
            reader.begins(dict(reads))

    def block(self) -> int:
        """The last block now, 0 for none."""
        last = self._store.last_block()
        return last.plan.block if last else 0

    def forget(self, steps: Mapping[int, Sequence[Forgotten]]) -> None:
        """Notes, by shard, steps that the sink has to pass over. Can be repeated."""
        if any(steps.values()):
            self._store.forget(steps)

    def close(self) -> None:
        """Closes the connection."""
        self._store.reconnect()

    def _uneven(self, last: LastBlock | None) -> Iterable[str]:
        """Blocks come one after the other, and every step is in `steps`: a table ahead of the last block, and steps behind it, are of
        another moment."""
        block = last.plan.block if last else 0
        for table in TABLES:
            if settling(block + 1, self._store.highest_block(table, block + 1)) is Settling.STORED:
                yield table.name
        if last is not None and last.done:
            there = self._store.versions(STEPS)
            if any(there.get(shard, 0) < _version(last, shard) for shard in range(self._config.partitions)):
                yield STEPS.name


def _marks(last: LastBlock | None) -> dict[Lane, Mark]:
    """Where the sink begins: behind the last block, or at its start if it is to be settled."""
    if last is None:
        return {}
    done = opening(last.plan.block, last.done) is Opening.DONE
    return {lane: range_.end if done else range_.start for lane, range_ in last.plan.ranges.items()}


def _version(last: LastBlock | None, shard: int) -> int:
    ranges = {} if last is None else last.plan.ranges
    ends = [ranges[lane].end.version for stream in (Stream.ROLLUPS, Stream.TRANSITIONS) if (lane := Lane(stream, shard)) in ranges]
    return max([0, *ends])
