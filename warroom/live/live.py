"""The live snapshots of a process: servers asked about once a second while anyone watches, however many watch.

Each server is polled by a task of its own, so that one that hangs delays nothing but itself, and a beat tells once a second how it
stands, also when there is nothing new. Blocking clients run in a few threads of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog
from confluent_kafka import KafkaException
from msgspec import Struct
from redis.exceptions import RedisError

from schemas.ladder import Ladder
from schemas.times import from_datetime
from sinks.config import ClickHouse
from sinks.errors import SinkError
from streams import metrics
from streams.errors import RflowError
from streams.meta import Meta
from warroom.figures import Stored
from warroom.live.assemble import BrandFacts, assemble
from warroom.live.broadcast import Broadcast
from warroom.live.ends import InputEnds
from warroom.live.freshness import Freshness, Limits, freshness
from warroom.live.reader import Figures, LiveReader, Row
from warroom.live.snapshot import AsOf, Pulse, Snapshot
from warroom.live.vitals import Watch
from warroom.states import RedisConfig, States

T = TypeVar("T")
log = structlog.get_logger(__name__)

_PERIOD_S = 1.0
_MOST_PERIOD_S = 10.0
_ENDS_PERIOD_S = 2.0
_REDIS_S = 2.0
_USUAL_S = 30.0
_LINGER_S = 15.0
"""For how long a brand is kept up after its last viewer has left: a page that is reloaded finds it warm."""


class LiveConfig(Struct, frozen=True, kw_only=True):
    """Where to ask. `kafka` is librdkafka's configuration."""

    clickhouse: ClickHouse
    redis: RedisConfig
    kafka: dict[str, str | int | float | bool]
    topic_prefix: str
    partitions: int
    limits: Limits = Limits()


class _Brand:
    """One brand that is watched."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broadcast = Broadcast()
        self.snapshot: Snapshot | None = None
        self.encoded: bytes = b""
        self.computed_mono = 0.0
        self.wanted_until = 0.0
        self.usual: list[Row] | None = None
        self.usual_until = 0.0
        self.ready = asyncio.Event()


class Live:
    """The snapshots of all brands. Belongs to the event loop that first watches; `close` ends it."""

    def __init__(self, config: LiveConfig, ladder: Ladder, now: Callable[[], int]) -> None:
        self._config = config
        self._ladder = ladder
        self._layers = [layer.id for layer in ladder.layers]
        self._now = now
        self._watch = Watch(time.monotonic())
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="live")
        self._brands: dict[str, _Brand] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._metas: list[Meta] = []
        self._metas_at: int | None = None
        self._sequence = 0
        self._reader: LiveReader | None = None

    async def follow(self, brand: str) -> AsyncGenerator[bytes, None]:
        """Server-sent events of a brand's snapshots and pulses, the same bytes for all who follow."""
        watched = self._wanted(brand)
        metrics.WARROOM_VIEWERS.inc()
        try:
            async with aclosing(watched.broadcast.follow()) as frames:
                async for frame in frames:
                    yield frame
        finally:
            metrics.WARROOM_VIEWERS.dec()
            watched.wanted_until = time.monotonic() + _LINGER_S

    async def snapshot(self, brand: str, patience: float = 5.0) -> bytes | None:
        """The newest snapshot as JSON, None if there is none yet after `patience` seconds."""
        watched = self._wanted(brand)
        try:
            async with asyncio.timeout(patience):
                await watched.ready.wait()
        except TimeoutError:
            return None
        return watched.encoded

    def freshness(self) -> Freshness:
        """How it stands; known only while anyone watches."""
        return freshness(self._watch.vitals(time.monotonic()), self._config.limits)

    async def close(self) -> None:
        """Ends everything."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- who is watched -----------------------------------------------------------------------------------------------------------
    def _wanted(self, brand: str) -> _Brand:
        watched = self._brands.get(brand)
        if watched is None:
            watched = self._brands[brand] = _Brand(brand)
        watched.wanted_until = time.monotonic() + _LINGER_S
        running = {name for name, task in self._tasks.items() if not task.done()}
        if not running:
            self._watch = Watch(time.monotonic())
        for work in (self._ask_redis, self._ask_kafka, self._ask_clickhouse, self._beat):
            if work.__name__ not in running:
                self._tasks[work.__name__] = asyncio.create_task(self._kept_up(work), name=work.__name__)
        return watched

    def _anyone(self) -> bool:
        """Forgets the brands that nobody wants; whether there are any left."""
        now = time.monotonic()
        for name, brand in list(self._brands.items()):
            if not brand.broadcast.listeners and brand.wanted_until < now:
                del self._brands[name]
        return bool(self._brands)

    async def _kept_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Nobody sees a task that ended: what was not foreseen is told in the log, and the work goes on."""
        while self._anyone():
            try:
                await work()
            except Exception:
                log.exception("the live snapshot stumbled", task=work.__name__)
                await asyncio.sleep(_PERIOD_S)

    # --- who is asked -------------------------------------------------------------------------------------------------------------
    async def _ask_redis(self) -> None:
        bounds = {"socket_timeout": _REDIS_S, "socket_connect_timeout": _REDIS_S}
        states = States(replace(self._config.redis, options={**bounds, **self._config.redis.options}))
        try:
            while self._anyone():
                self._watch.redis.asking(time.monotonic())
                try:
                    self._metas = await self._in_thread(lambda: states.metas(self._config.partitions))
                    self._metas_at = self._now()
                    self._watch.applied(time.monotonic(), [(meta.version, meta.offsets) for meta in self._metas])
                except (RedisError, OSError, RflowError) as error:
                    self._failed("redis", error)
                await asyncio.sleep(_PERIOD_S)
        finally:
            states.close()

    async def _ask_kafka(self) -> None:
        ends = InputEnds(self._config.kafka, self._config.topic_prefix, self._config.partitions)
        while self._anyone():
            self._watch.kafka.asking(time.monotonic())
            try:
                self._watch.ends(time.monotonic(), await self._in_thread(ends.read))
            except KafkaException as error:
                self._failed("kafka", error)
            await asyncio.sleep(_ENDS_PERIOD_S)

    async def _ask_clickhouse(self) -> None:
        """ClickHouse: how far it is, then every brand; slower if it takes long or is away."""
        pause = _PERIOD_S
        try:
            while self._anyone():
                began = time.monotonic()
                self._watch.clickhouse.asking(began)
                try:
                    stored = await self._in_thread(self._read_stored)
                    self._watch.stored(time.monotonic(), {shard: row.version for shard, row in stored.items()})
                    for brand in list(self._brands.values()):
                        await self._compute(brand, stored)
                    took = time.monotonic() - began
                    pause = min(_MOST_PERIOD_S, max(_PERIOD_S - took, took))
                except SinkError as error:
                    self._failed("clickhouse", error)
                    self._drop_reader()
                    pause = min(_MOST_PERIOD_S / 2, pause * 2)
                metrics.WARROOM_TICK_SECONDS.observe(time.monotonic() - began)
                await asyncio.sleep(pause)
        finally:
            self._drop_reader()

    async def _beat(self) -> None:
        """Tells how it stands wherever no snapshot has come within the last second and a half."""
        while self._anyone():
            now = time.monotonic()
            for brand in self._brands.values():
                if now - brand.computed_mono > 1.5 * _PERIOD_S:
                    brand.broadcast.pulse(_frame("pulse", self._sequence, msgspec.json.encode(self._pulse(brand))))
            await asyncio.sleep(_PERIOD_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _failed(self, server: str, error: Exception) -> None:
        answering = getattr(self._watch, server)
        if answering.away(time.monotonic()) is None:  # once, not once a second
            log.warning("does not answer", server=server, error=str(error).splitlines()[0][:300] if str(error) else type(error).__name__)
        answering.failed()

    # --- what is told -------------------------------------------------------------------------------------------------------------
    def _read_stored(self) -> dict[int, Stored]:
        if self._reader is None:
            self._reader = LiveReader(self._config.clickhouse)
        return self._counted(self._reader, self._reader.stored)

    def _drop_reader(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.close()

    def _counted(self, reader: LiveReader, ask: Callable[[], T]) -> T:
        before = reader.asked
        try:
            return ask()
        finally:
            metrics.WARROOM_QUERIES.labels("live").inc(reader.asked - before)

    async def _compute(self, brand: _Brand, stored: dict[int, Stored]) -> None:
        """One snapshot: asked, assembled and encoded once."""
        reader = self._reader
        if reader is None or self._metas_at is None:
            return  # Redis has never told who stands where
        marks = [row.watermark for row in stored.values() if row.watermark]
        computed_at = self._now()
        watermark = max(marks, default=computed_at)
        zone = self._ladder.calendar(brand.name)[0]
        day = day_of(watermark, zone)
        usual = brand.usual if time.monotonic() < brand.usual_until else None
        figures: Figures = await self._in_thread(lambda: self._counted(reader, lambda: reader.figures(brand.name, watermark, day, usual)))
        if usual is None:
            brand.usual, brand.usual_until = figures.usual, time.monotonic() + _USUAL_S
        self._sequence += 1
        swept = [row.swept_to for row in stored.values()]
        as_of = AsOf(
            computed_at=computed_at,
            watermark=max(marks, default=None),
            watermark_low=min(marks, default=None),
            version=sum(row.version for row in stored.values()),
            headcount_at=self._metas_at,
            final_before=min(swept, default=0) or None,
        )
        facts = BrandFacts(
            brand=brand.name,
            currency=self._ladder.currency_of(brand.name),
            time_zone=zone,
            layers=self._layers,
            headcount=self._headcount(brand.name),
            watermark=watermark,
            day=day,
        )
        brand.snapshot = assemble(facts, figures, as_of, self.freshness(), self._sequence)
        brand.encoded = msgspec.json.encode(brand.snapshot)
        brand.computed_mono = time.monotonic()
        brand.broadcast.snapshot(_frame("snapshot", self._sequence, brand.encoded))
        brand.ready.set()
        metrics.WARROOM_SNAPSHOT_BYTES.set(len(brand.encoded))

    def _headcount(self, brand: str) -> dict[str, int]:
        counts = dict.fromkeys(self._layers, 0)
        for meta in self._metas:
            for layer, users in zip(meta.layers, meta.census.get(brand, ()), strict=False):
                counts[layer] = counts.get(layer, 0) + users
        return counts

    def _pulse(self, brand: _Brand) -> Pulse:
        as_of = brand.snapshot.as_of if brand.snapshot else None
        return Pulse(
            brand=brand.name,
            sequence=brand.snapshot.sequence if brand.snapshot else 0,
            at=self._now(),
            computed_at=as_of.computed_at if as_of else None,
            watermark=as_of.watermark if as_of else None,
            freshness=self.freshness(),
        )


def day_of(at: int, zone: str) -> int:
    """When the calendar day of an instant began in a time zone, as epoch milliseconds."""
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    return from_datetime(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))


def _frame(event: str, sequence: int, data: bytes) -> bytes:
    """A server-sent event. JSON has no line breaks, so the data is one line."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.encode(), sequence, data)
