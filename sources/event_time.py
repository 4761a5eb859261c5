"""Producing at a multiple of the clock's speed: each line when its own time has come, and every log told how far time is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from sources.kafka_log import KafkaLog
from sources.live import send_line, time_of
from sources.producer import broadcast_tick

_STEP_SECONDS = 0.25


async def play(
    lines: Iterable[bytes],
    log: KafkaLog,
    partitions: int,
    *,
    begins: int,
    ends: int,
    speed: float,
    on_time: Callable[[int], None] | None = None,
) -> None:
    """Produces `lines` from `begins` to `ends` (epoch milliseconds) in `1 / speed` of that time, a tick on every log every quarter of a
    second. A line without a readable time goes with the one before it. Returns when Kafka has acknowledged all. Raises DeliveryFailed."""
    source = iter(lines)
    began = time.monotonic()
    line = next(source, None)
    now = begins
    while line is not None or now < ends:
        now = min(ends, begins + round((time.monotonic() - began) * 1000 * speed))
        while line is not None and (now >= ends or (time_of(line) or 0) < now):
            await send_line(line, log, partitions)
            line = next(source, None)
        await broadcast_tick(log, now, partitions)
        log.poll()
        if on_time is not None:
            on_time(now)
        await asyncio.sleep(_STEP_SECONDS)
    await log.drained()
