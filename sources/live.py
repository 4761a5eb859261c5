"""Producing in real time: at a given rate, without slices, as a running system's own producers would."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from schemas.partition import partition_of
from schemas.spend import Spend
from schemas.times import from_rfc3339
from sources.errors import SourceError
from sources.kafka_log import KafkaLog
from sources.producer import broadcast_tick
from sources.route import partition, route

_WAKE_SECONDS = 0.01
_AT_ONCE = 2_000
_TIME = re.compile(rb'"occurred_at":(?:(\d{1,14})|"([^"]{20,40})")')


@dataclass(slots=True)
class Sent:
    """What has been sent: records (without ticks), their values' bytes, and records by topic."""

    events: int = 0
    bytes: int = 0
    topics: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """`rate`: records a second, None for as fast as they are taken. `tick_seconds`: how often every log is told the wall clock's
    time, None for never; live processing needs no ticks."""

    rate: float | None = None
    tick_seconds: float | None = None


async def send(
    lines: Iterable[bytes],
    log: KafkaLog,
    partitions: int,
    *,
    policy: LivePolicy = LivePolicy(),
    on_progress: Callable[[Sent], None] | None = None,
) -> Sent:
    """Produces all of `lines`, unchecked, and returns when Kafka has acknowledged them. `on_progress` is called about a hundred
    times a second. Raises DeliveryFailed."""
    sent = Sent()
    source = iter(lines)
    began = ticked = time.monotonic()
    while True:
        now = time.monotonic()
        due = _AT_ONCE if policy.rate is None else int((now - began) * policy.rate) - sent.events
        batch = list(islice(source, max(0, min(due, _AT_ONCE))))
        for line in batch:
            await send_line(line, log, partitions, sent)
        log.poll()
        if policy.tick_seconds is not None and now - ticked >= policy.tick_seconds:
            ticked = now
            await broadcast_tick(log, time.time_ns() // 1_000_000, partitions)
        if on_progress is not None:
            on_progress(sent)
        if due > 0 and not batch:
            break
        await asyncio.sleep(0 if due >= _AT_ONCE else _WAKE_SECONDS)
    await log.drained()
    return sent


async def send_spend(lines: Iterable[bytes], log: KafkaLog, topic: str, partitions: int) -> int:
    """Produces spend records to `topic` (prefix included), each keyed by its id, and returns how many. Raises SourceError."""
    count = 0
    for line in lines:
        spend_id = _spend_id(line)
        await log.send_to(topic, partition_of(spend_id, partitions), spend_id.encode(), line)
        count += 1
    await log.drained()
    return count


def time_of(line: bytes) -> int | None:
    """When it occurred, epoch milliseconds; None for a line without a readable time."""
    found = _TIME.search(line)
    if found is None:
        return None
    try:
        return int(found[1]) if found[1] else from_rfc3339(found[2].decode())
    except (ValueError, OverflowError):
        return None


class Restamp:
    """Moves lines into the present: the latest time seen becomes `now()` (epoch milliseconds), what is late stays as late as it
    was. A retry is then told with another time than at first, but under the same event id."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._latest = 0

    def __call__(self, line: bytes) -> bytes:
        """The line with its time moved; a line without a readable time as it is."""
        found, at = _TIME.search(line), time_of(line)
        if found is None or at is None:
            return line
        self._latest = max(self._latest, at)
        moved = self._now() - (self._latest - at)
        return b'%b"occurred_at":%d%b' % (line[: found.start()], moved, line[found.end() :])


async def send_line(line: bytes, log: KafkaLog, partitions: int, sent: Sent | None = None) -> None:
    """Hands one line over, unchecked, to the topic and partition where it belongs; `sent` counts it. Raises DeliveryFailed."""
    kind, key, _, _ = route(line)
    await log.send(kind, partition(line, key, partitions), key, line)
    if sent is not None:
        sent.events += 1
        sent.bytes += len(line)
        sent.topics[log.topic(kind)] += 1


def _spend_id(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=Spend).spend_id
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"expected a spend record, found {line[:200]!r}: {error}") from None
