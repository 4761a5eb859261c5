"""The replay's producer: a source's lines into the input topics, slice by slice, at the pace at which they are worked off.

1. A slice is taken from the source, while the one before is still on its way.
2. The slice before is acknowledged by Kafka: its end offsets are known.
3. While a partition holds more than `in_flight_bytes` that are not worked off, the oldest slice is waited for: the embedded
   broker forgets what does not fit its few megabytes.
4. The slice is produced, a tick on every log behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from schemas.touchpoint import KINDS, Tick
from schemas.validate import Validator
from sources.kafka_log import KafkaLog, Log
from sources.slices import Slice, SlicePolicy, Slicer

_encode = msgspec.json.Encoder().encode


class Pace(Protocol):
    """How the replay learns what has been worked off."""

    async def wait(self, produced: Mapping[Log, int]) -> None:
        """Returns when every log has been applied, and what came of it stored, up to the given end offset (exclusive).

        Raises to end the replay, for instance because a worker has died.
        """


class NoPace:
    """For a broker that keeps everything: waits for nothing."""

    async def wait(self, produced: Mapping[Log, int]) -> None:
        """Returns at once."""


NO_PACE = NoPace()


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """`in_flight_bytes` bounds what a partition's four topics hold together that is not worked off. What comes of a record (its
    transition, its row of a rollup) may be three times as large and waits in the same broker. `rate` bounds the records a second."""

    slices: SlicePolicy = field(default_factory=SlicePolicy)
    in_flight_bytes: int = 1_000_000
    rate: float | None = None


@dataclass(slots=True)
class Replayed:
    """What has been produced. `topics` counts records by topic; neither it nor `events` counts ticks, `ends` includes them.

    `bytes` are the values' own. `invalid` counts by reason what will be a dead letter; `time` is the highest `occurred_at` of
    the valid. `cut_instants`: see SlicePolicy.
    """

    events: int = 0
    bytes: int = 0
    slices: int = 0
    cut_instants: int = 0
    time: int | None = None
    topics: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    ends: dict[Log, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _InFlight:
    ends: dict[Log, int]
    sizes: list[int]


async def replay(
    lines: Iterable[bytes],
    log: KafkaLog,
    validator: Validator,
    partitions: int,
    *,
    pace: Pace = NO_PACE,
    policy: ReplayPolicy = ReplayPolicy(),
    on_progress: Callable[[Replayed], None] | None = None,
) -> Replayed:
    """Produces all of `lines` and returns when Kafka has acknowledged them, not when they are worked off: for that, wait for
    `ends`. `on_progress` is called after each slice, with the counts so far. Raises SourceError and whatever `pace` raises."""
    slicer = Slicer(validator, partitions, policy.slices)
    done = Replayed()
    in_flight: deque[_InFlight] = deque()
    began = time.monotonic()
    sent: Slice | None = None
    for piece in slicer.slices(lines):  # 1
        await log.drained()  # 2
        if sent is not None:
            in_flight.append(_InFlight(dict(log.ends), sent.sizes))
        await _make_room(in_flight, piece.sizes, policy.in_flight_bytes, pace)  # 3
        await _produce(log, piece, partitions)  # 4
        sent = piece
        _count(done, piece, slicer, log)
        if on_progress is not None:
            on_progress(done)
        if policy.rate is not None:
            await asyncio.sleep(began + done.events / policy.rate - time.monotonic())
    await log.drained()
    done.ends = dict(log.ends)
    return done


async def _make_room(in_flight: deque[_InFlight], sizes: list[int], bound: int, pace: Pace) -> None:
    while in_flight:
        held = (sum(column) for column in zip(*(one.sizes for one in in_flight), strict=True))
        if all(size + more <= bound for size, more in zip(held, sizes, strict=True)):
            return
        await pace.wait(in_flight.popleft().ends)


async def _produce(log: KafkaLog, piece: Slice, partitions: int) -> None:
    for kind, partition, key, value in piece.records:
        await log.send(kind, partition, key, value)
    await broadcast_tick(log, piece.time, partitions)


async def broadcast_tick(log: KafkaLog, at: int, partitions: int) -> None:
    """Says on every partition of every input topic that its log has reached `at`, in epoch milliseconds."""
    tick = _encode(Tick(occurred_at=at))
    for kind in KINDS:
        for partition in range(partitions):
            await log.send(kind, partition, None, tick)


def _count(done: Replayed, piece: Slice, slicer: Slicer, log: KafkaLog) -> None:
    counts = slicer.counts
    done.slices += 1
    done.events += len(piece.records)
    done.bytes += sum(len(record.value) for record in piece.records)
    done.topics.update(log.topic(record.kind) for record in piece.records)
    done.cut_instants = counts.cut_instants
    done.time = counts.time
    done.invalid = counts.invalid
