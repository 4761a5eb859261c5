"""The ClickHouse sink's loop: read back, read on, plan, agree, store. `sinks.decision` tells why in that order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from schemas.ladder import Ladder
from sinks.blocks import Plan, fill
from sinks.config import OnGap, SinkConfig
from sinks.decision import Agreement, Lane, Mark, Opening, Stream, Verdict
from sinks.errors import LogGap, SinkError, Stopped
from sinks.lanes import Lanes
from sinks.migrate import migrate
from sinks.patience import Patience
from sinks.reader import KafkaAway, Message, Reader
from sinks.rows import BadRecord, Decoder
from sinks.store import Store
from sinks.writer import Writer
from streams import metrics
from streams.crash import CrashPoint, crash_point
from streams.forgotten import Forgotten

log = logging.getLogger("rflow.sink")

_SILENCE = 60.0
"""Seconds, beside the longest request, after which a loop that tells nothing counts as stuck."""


@dataclass(frozen=True, slots=True)
class Health:
    """`ok`: the loop runs (ClickHouse being away is no fault of it). `ready`: what was in the log at the start is stored, and ClickHouse
    answers. `lag_records`: records published and not stored, None while unknown."""

    ok: bool
    ready: bool
    detail: str
    lag_records: int | None


def run(config: SinkConfig, ladder: Ladder, stop: threading.Event) -> None:
    """Run a sink until `stop` is set. Raises SinkError if it cannot go on."""
    Sink(config, ladder).run(stop)


class Sink:
    """One sink. Several on the same database do no harm and no good."""

    def __init__(self, config: SinkConfig, ladder: Ladder) -> None:
        self._config = config
        self._ladder = ladder
        self._health = Health(True, False, "starting", None)
        self._told_at = time.monotonic()
        self._failed: BaseException | None = None

    def health(self) -> Health:
        """How it is now; may be called from any thread."""
        health, silent = self._health, time.monotonic() - self._told_at
        if health.ok and silent > _SILENCE + self._config.clickhouse.timeout:
            return replace(health, ok=False, ready=False, detail=f"no sign of life for {silent:.0f} s")
        return health

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set, then return within `stop_grace` seconds. Raises SinkError if it cannot go on.

        The work is done in a thread of its own, so that a request which hangs cannot hold up the end of the process: it is left to
        itself, and the block is settled at the next start.
        """
        worker = threading.Thread(target=self._guarded, args=(stop,), name="clickhouse-sink", daemon=True)
        worker.start()
        while worker.is_alive() and not stop.wait(0.2):
            pass
        worker.join(self._config.stop_grace)
        if worker.is_alive():
            log.warning("a request is still under way and is left to itself; the next start settles its block")
        if self._failed is not None:
            raise self._failed

    def _guarded(self, stop: threading.Event) -> None:
        try:
            _Loop(self._config, self._ladder, stop, self._tell).run()
        except Stopped:
            self._tell(Health(False, False, "stopped", self._health.lag_records))
        except BaseException as error:
            self._failed = error
            self._tell(Health(False, False, str(error), self._health.lag_records))
            if not isinstance(error, SinkError):
                log.exception("the sink ends")

    def _tell(self, health: Health) -> None:
        self._health = health
        self._told_at = time.monotonic()


class _Loop:
    """The work of a sink. Ends only by an exception: Stopped, or what went wrong."""

    def __init__(self, config: SinkConfig, ladder: Ladder, stop: threading.Event, tell: Callable[[Health], None]) -> None:
        self._config = config
        self._ladder = ladder
        self._stop = stop
        self._tell = tell
        self._patience = Patience(config, stop, self._waiting)
        self._writer = Writer(Store(config.clickhouse), self._patience)
        self._decoder = Decoder(ladder)
        self._all = [Lane(stream, partition) for stream in Stream for partition in range(config.partitions)]
        self._forgotten: dict[int, list[Forgotten]] = {}
        self._lanes = self._lanes_from({})
        self._followed: set[Lane] = set()
        self._block = 0
        self._try_at = 0
        self._stored_at = 0.0
        self._reader = Reader(config)
        self._goal: dict[Lane, int] | None = None
        self._ready = False
        self._looked_at = 0.0
        self._lag: int | None = None
        self._why = ""

    def run(self) -> None:
        """Set up, then read and store for ever."""
        try:
            self._patience.insist(lambda _: self._migrate())
            crash_point(CrashPoint.SINK_AFTER_MIGRATE)
            self._patience.insist(lambda _: self._reader.check_topics())
            self._begin()
            while not self._stop.is_set():
                self._read(self._config.read_messages)
                self._look_around()
                if plan := self._due():
                    self._store(plan)
                wanted = set(self._all) - self._lanes.full(2 * self._config.block_rows)
                if wanted != self._followed:
                    self._follow(wanted)
            raise Stopped
        finally:
            self._reader.close()

    def _lanes_from(self, marks: dict[Lane, Mark]) -> Lanes:
        return Lanes(dict.fromkeys(self._all, Mark()) | marks, self._lost, self._forgotten)

    def _migrate(self) -> None:
        for migration in migrate(self._config.clickhouse, self._ladder, self._config.partitions):
            log.info("migration %04d %s applied", migration.number, migration.name)

    def _begin(self) -> None:
        """Go on from what ClickHouse has: at the start, and when another sink has gone ahead."""
        state, last = self._writer.last_block()
        self._forgotten = self._writer.forgotten()
        crash_point(CrashPoint.SINK_AFTER_LOAD)
        ranges = last.plan.ranges if last else {}
        self._lanes = self._lanes_from({lane: range_.end if state is Opening.DONE else range_.start for lane, range_ in ranges.items()})
        starts = self._follow(self._all)
        log.info("block %d is %s", last.plan.block if last else 0, state.name.lower())
        if last and state is Opening.DOUBTFUL:
            if any(starts[lane] > range_.start.offset and range_.records for lane, range_ in last.plan.ranges.items()):
                self._abandon(last.plan)
            else:
                self._finish(last.plan, doubtful=True)
        self._block = last.plan.block if last else 0
        self._goal = self._patience.insist(lambda _: self._reader.ends(self._all))

    def _due(self) -> Plan | None:
        """The next block if it is worth storing: a good part of a full one, or all there is of it `linger` seconds after the one before."""
        rows, size, oldest, now = self._config.block_rows, self._lanes.size, self._lanes.oldest_at(), time.monotonic()
        aged = oldest is not None and now - max(oldest, self._stored_at) >= self._config.linger
        if not aged and size < max(rows, self._try_at):
            return None
        plan = self._lanes.plan(self._block + 1, rows)
        if plan is not None and (aged or plan.rows >= rows // 2):
            self._try_at = 0
            return plan
        self._try_at = size + rows // 4  # most of it is not whole yet
        return None

    def _store(self, plan: Plan) -> None:
        """Take the next block through its states."""
        found, agreed = self._writer.agree(plan)
        if found is Agreement.OVERTAKEN:
            log.warning("another sink has stored block %d; going on from there", plan.block)
            self._begin()
            return
        self._finish(agreed, doubtful=found is Agreement.THEIRS)
        self._block = plan.block

    def _finish(self, plan: Plan, *, doubtful: bool) -> None:
        """Read what the block still lacks, store it and let go of it."""
        self._complete(plan)
        self._writer.store(plan, fill(plan.block, self._lanes.records(plan)), doubtful=doubtful)
        self._lanes.stored(plan)
        self._stored_at = time.monotonic()
        self._reader.commit({lane: range_.end.offset for lane, range_ in plan.ranges.items() if range_.end.offset > range_.start.offset})
        crash_point(CrashPoint.SINK_AFTER_COMMIT)

    def _abandon(self, plan: Plan) -> None:
        """The log has lost records of an unfinished block, and that was accepted: what is stored of it stays, the rest is lost."""
        log.warning("block %d cannot be finished, the log does not reach back to it: some of its tables lack its rows", plan.block)
        for lane, range_ in plan.ranges.items():
            if range_.records:
                metrics.SINK_GAPS.labels(stream=lane.stream.value).inc()
        self._writer.store(plan, [], doubtful=True)
        self._lanes = self._lanes_from({lane: range_.end for lane, range_ in plan.ranges.items()})

    def _complete(self, plan: Plan) -> None:
        """Read every lane to the end of its range, and meanwhile no lane beyond it: memory stays bounded."""
        lacking = self._lanes.lacking(plan)
        if not lacking:
            return
        self._patience.insist(lambda _: self._reader.expect({lane: plan.ranges[lane].end.offset for lane in lacking}))
        while lacking:
            self._follow(lacking)
            while lacking == (still := self._lanes.lacking(plan)):
                if self._stop.is_set():
                    raise Stopped
                self._read(self._config.read_messages)
            lacking = still
        self._follow(self._all)

    def _follow(self, lanes: Iterable[Lane]) -> dict[Lane, int]:
        """Read these lanes, and no others, from where each has been read to; returns where that is in the log."""
        self._followed = set(lanes)
        offsets = {lane: self._lanes[lane].read.offset for lane in sorted(self._followed)}
        return self._patience.insist(lambda _: self._reader.seek(offsets))

    def _read(self, messages: int) -> None:
        """Take in some records. While a full block waits nothing is read, so that memory stays bounded."""
        for message in self._reader.read(messages, self._config.read_timeout):
            self._take(message)

    def _take(self, message: Message) -> None:
        lane, now = message.lane, time.monotonic()
        before = self._lanes[lane].read
        if message.offset < before.offset:
            return  # fetched twice
        try:
            record = self._decoder.decode(lane.stream, lane.partition, message.offset, message.value)
        except BadRecord as error:
            metrics.SINK_BAD_RECORDS.labels(stream=lane.stream.value).inc()
            log.error("%s[%d] offset %d cannot be read: %s", lane.stream.value, lane.partition, message.offset, error)
            self._lanes.skip(lane, message.offset, now)
            return
        match self._lanes.offer(lane, record, now):
            case Verdict.REPEATED:
                metrics.SINK_DUPLICATES.labels(stream=lane.stream.value).inc()
            case Verdict.FORGOTTEN:
                metrics.SINK_FORGOTTEN.labels(stream=lane.stream.value).inc()

    def _lost(self, lane: Lane, how: str) -> None:
        """Records of a lane are missing."""
        if self._config.on_gap is OnGap.STOP:
            raise LogGap(f"{lane.stream.value}[{lane.partition}]: records are lost: {how}. --on-gap continue accepts the loss")
        metrics.SINK_GAPS.labels(stream=lane.stream.value).inc()
        log.warning("%s[%d]: records are lost: %s", lane.stream.value, lane.partition, how)

    def _look_around(self) -> None:
        """Tell lag and health, now and then."""
        now = time.monotonic()
        oldest = self._lanes.oldest_at()
        metrics.SINK_LAG_SECONDS.set(0.0 if oldest is None else now - oldest)
        pause = self._config.lag_interval if self._ready else min(self._config.lag_interval, 0.5)
        if now - self._looked_at < pause:
            return
        self._looked_at = now
        try:
            ends = self._reader.ends(self._all)
        except KafkaAway as error:
            self._lag = None
            log.info("lag unknown: %s", error)
            self._tell_health()
            return
        self._lag = 0
        for lane, pending in self._lanes.items():
            lag = max(0, ends[lane] - pending.stored.offset)
            self._lag += lag
            metrics.SINK_LAG_RECORDS.labels(stream=lane.stream.value, partition=str(lane.partition)).set(lag)
        if self._goal is not None and all(pending.stored.offset >= self._goal[lane] for lane, pending in self._lanes.items()):
            self._ready = True
        self._tell_health()

    def _waiting(self, why: str) -> None:
        self._why = why
        if self._goal is not None:
            self._look_around()
        self._tell_health()

    def _tell_health(self) -> None:
        if self._lag is None:
            detail = "lag unknown"
        elif self._lag:
            detail = f"{self._lag} records behind"
        else:
            detail = "all stored"
        self._tell(Health(True, self._ready and not self._why, self._why or detail, self._lag))
