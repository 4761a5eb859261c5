"""A consistent picture of all users' layers, for subscribers to begin with: taken while the shards go on.

Users are read one page after the other, so that each is seen at some version between that before the first page and that after the last.
What happened in between is told by the transitions of those versions, which are laid over what was read. So, for each shard:

1. the end of its log of transitions, then its version V0: no transition of a later version lies before that end;
2. its users, page by page, into a temporary file;
3. its version V1, then its outbox: what is not in the outbox any more, Kafka has;
4. wait until V1 is being published: a step is published when Redis has it for good, and what Redis may yet forget is in no picture;
5. the transitions of V0 + 1 to V1, from the log and from the outbox: each user's last one counts, if it is later than what was read;
6. the shard's line, and its users'. Whoever follows takes V1 + 1 and later, from the offset of 1 on.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, Any

import msgspec
from confluent_kafka import TopicPartition

from schemas.follow import Subscriber
from schemas.kafka_client import Consumer
from schemas.ladder import Ladder
from schemas.positions import Position
from schemas.snapshot import FORMAT, End, Shard, Snapshot, UserLayer, encode_line
from schemas.subscriber import Received, decode_transition
from schemas.times import to_rfc3339
from streams.ladder import Rules
from streams.outbox import Entry
from streams.state import State
from streams.takeover import LogInspector
from warroom.states import RedisConfig, States, require_ladder

_POLL_S = 0.1
_decode_line = msgspec.json.Decoder(UserLayer).decode


class SnapshotUnfinished(Exception):
    """A snapshot that cannot be taken now; what was written of it has no end and is refused by who reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfig:
    """Where states and transitions are. `patience` is how many seconds to wait until what Redis holds is published."""

    redis: RedisConfig
    kafka: dict[str, Any] = field(repr=False)
    topic_prefix: str
    partitions: int
    ladder: Ladder
    patience: float = 60.0


class LayerSnapshot:
    """Takes snapshots. Raises RedisError, OSError, KafkaException, LadderChanged while users move to another ladder, SnapshotUnfinished."""

    def __init__(self, config: SnapshotConfig) -> None:
        self._config = config
        self._rules = Rules(config.ladder)
        self._states = States(config.redis)
        self._kafka = {**config.kafka, "group.id": "rflow-snapshot"}
        self._consumer = Consumer({**self._kafka, "enable.auto.commit": False})
        self._inspector = LogInspector(config.kafka, config.topic_prefix, topic_ids=False)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Ends the connections."""
        self._runner.close()
        self._inspector.close()
        self._consumer.close()
        self._states.close()

    def write(self, put: Callable[[bytes], object], brand: str | None = None) -> int:
        """Hands the snapshot to `put`, line by line; of one brand if it is named. The number of users."""
        config = self._config
        taken_at = to_rfc3339(time.time_ns() // 1_000_000)
        put(encode_line(Snapshot(format=FORMAT, ladder=config.ladder.id, partitions=config.partitions, taken_at=taken_at)) + b"\n")
        users = sum(self._shard(shard, put, brand) for shard in range(config.partitions))
        put(encode_line(End(users=users)) + b"\n")
        return users

    def _shard(self, shard: int, put: Callable[[bytes], object], brand: str | None) -> int:
        offset = self._end(shard)  # 1
        first = self._version(shard)
        with tempfile.TemporaryFile() as spool:
            read = self._spool(shard, spool, brand)  # 2
            last = self._version(shard)  # 3
            waiting = self._states.outbox_entries(shard)
            self._until_published(shard, last)  # 4
            changed = self._changed(shard, Position(first + 1, -1, offset), last, waiting, brand) if last > first else {}  # 5
            newcomers = _unknown(changed, spool)
            put(encode_line(Shard(shard=shard, version=last, offset=offset, users=read + len(newcomers))) + b"\n")  # 6
            spool.seek(0)
            for line in spool:
                put(_laid_over(line, changed) if changed else line)
            for one in newcomers:
                put(encode_line(one) + b"\n")
        return read + len(newcomers)

    def _end(self, shard: int) -> int:
        place = TopicPartition(f"{self._config.topic_prefix}transitions", shard)
        return int(self._consumer.get_watermark_offsets(place, timeout=10)[1])

    def _version(self, shard: int) -> int:
        meta = self._states.meta(shard)
        require_ladder(shard, meta, self._config.ladder)
        return meta.version

    def _spool(self, shard: int, spool: IO[bytes], brand: str | None) -> int:
        count = 0
        for key, state in self._states.users(shard):
            brand_key, _, user_id = key.partition(":")
            name = self._rules.brand_of_key(brand_key).name
            if state is not None and brand in (None, name):
                spool.write(encode_line(_standing(name, user_id, state, self._rules.layers)) + b"\n")
                count += 1
        return count

    def _until_published(self, shard: int, version: int) -> None:
        deadline = time.monotonic() + self._config.patience
        while (published := self._runner.run(self._inspector.published(shard))) < version:
            if time.monotonic() > deadline:
                raise SnapshotUnfinished(
                    f"shard {shard}: expected version {version} to be published within {self._config.patience:g} s, found {published}: "
                    "does its worker run?"
                )
            time.sleep(_POLL_S)

    def _changed(self, shard: int, after: Position, last: int, waiting: list[Entry], brand: str | None) -> dict[tuple[str, str], UserLayer]:
        """Where users went in the versions after `after` up to `last`."""
        found: dict[tuple[str, str], UserLayer] = {}
        told = [*self._logged(shard, after), *(decode_transition(value) for entry in waiting for _, value in entry.transitions)]
        for one in told:
            user = one.brand, one.user_id
            if one.version <= last and brand in (None, one.brand) and (user not in found or found[user].seq < one.seq):
                found[user] = UserLayer(brand=one.brand, user_id=one.user_id, layer=one.to, seq=one.seq, since=one.effective_at)
        return found

    def _logged(self, shard: int, after: Position) -> Iterator[Received]:
        topic, end = f"{self._config.topic_prefix}transitions", self._end(shard)
        with closing(Subscriber(self._kafka, topic=topic, positions={shard: after}, partitions=[shard])) as subscriber:
            deadline = time.monotonic() + self._config.patience
            while (at := subscriber.positions[shard].offset) < end:
                if time.monotonic() > deadline:
                    raise SnapshotUnfinished(f"shard {shard}: expected its transitions up to offset {end}, found that they end at {at}")
                batch = subscriber.read(5_000, 1.0)
                if batch.transitions:
                    deadline = time.monotonic() + self._config.patience
                yield from batch.transitions


def _standing(brand: str, user_id: str, state: State, layers: tuple[str, ...]) -> UserLayer:
    since = None if state.since is None else to_rfc3339(state.base + state.since)
    return UserLayer(brand=brand, user_id=user_id, layer=layers[state.layer], seq=state.seq, since=since)


def _unknown(changed: dict[tuple[str, str], UserLayer], spool: IO[bytes]) -> list[UserLayer]:
    """Those who came so late that they were not read."""
    if not changed:
        return []
    spool.seek(0)
    known = {(read.brand, read.user_id) for read in map(_decode_line, spool) if (read.brand, read.user_id) in changed}
    return [one for user, one in changed.items() if user not in known]


def _laid_over(line: bytes, changed: dict[tuple[str, str], UserLayer]) -> bytes:
    """A user's line, or a later one of the same user."""
    read = _decode_line(line)
    later = changed.get((read.brand, read.user_id))
    return line if later is None or later.seq <= read.seq else encode_line(later) + b"\n"
