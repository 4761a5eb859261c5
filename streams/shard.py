"""One shard at work: intake, step after step, outbox. Numbered as in the design's section on the shard step."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog
from redis.exceptions import RedisError

from schemas.deadletter import InvalidRecord
from schemas.times import MINUTE_MS
from schemas.touchpoint import KINDS, Touchpoint
from schemas.validate import Validator
from streams.crash import CrashPoint, crash_point
from streams.durability import Durability
from streams.errors import Conflict, ShardStopped, StateUnreadable
from streams.fold import Fold, Record
from streams.intake import Intake
from streams.labels import Labels
from streams.ladder import Rules
from streams.logs import Fetched
from streams.meta import Meta, Moving
from streams.outbox import Entry
from streams.publisher import Publisher
from streams.recompute import Passage, encode_rules, passage_of
from streams.shard_metrics import ShardMetrics
from streams.stage import Stage, StepConfig
from streams.state import decode_state
from streams.store import ShardStore
from streams.takeover import LogInspector, refuse_forgotten, refuse_other_partitions

if TYPE_CHECKING:
    from streams.tracing import StepTrace, Tracing

log = structlog.get_logger(__name__)

_STORE_ERRORS = (RedisError, OSError, TimeoutError)


class Shard:
    """The owner of one partition's users. `open`, then `run` until `close`; `feed` hands it what was fetched.

    `now` is the wall clock in epoch milliseconds.
    """

    def __init__(
        self,
        number: int,
        config: StepConfig,
        rules: Rules,
        validator: Validator,
        store: ShardStore,
        publisher: Publisher,
        inspector: LogInspector,
        now: Callable[[], int],
        token: str,
        tracing: Tracing | None = None,
    ) -> None:
        self.number = number
        self.stage = Stage.OPENING
        self.error: str | None = None
        self.meta = Meta()
        self.intake = Intake([-1] * len(KINDS), [-1] * len(KINDS), strict=config.strict)
        self.last_progress = time.monotonic()
        self._config = config
        self._rules = rules
        self._passage: Passage | None = None
        self._ladders: dict[str, bytes] = {}
        self._validator = validator
        self._store = store
        self._publisher = publisher
        self._inspector = inspector
        self._now = now
        self._token = token
        self._tracing = tracing
        self._steps = 0
        self._labels = Labels([])
        self._pending: list[Record] = []
        self._unacknowledged: deque[list[int]] = deque()
        self._acknowledged_to = 0
        self._handed_to = 0
        """the highest version handed to the producer: Redis must not forget it"""
        self._epoch = 0
        self._stale = False
        self._news = asyncio.Event()
        self._closing = False
        self._metrics = ShardMetrics(number, rules.channels)
        self._durability = Durability(store, number, config.replicas, config.replica_timeout)

    # --- taking the shard ---------------------------------------------------------------------------------------------------------
    async def open(self) -> list[int]:
        """Takes the shard: the outbox first, then where each topic is to be read from, in the order of KINDS.

        Raises ShardStopped where an operator has to decide, a Redis or Kafka error where one of them does not answer, Conflict.
        """
        self._handed_to = 0
        published = await self._inspector.published(self.number)
        await self._load()
        published = max(published, self._handed_to)
        if not self._config.continue_on_rewind:
            refuse_forgotten(self.number, self.meta.version, published)
        begins, ids = await self._inspector.begin(self.number, self.meta, continue_on_gap=self._config.continue_on_gap)
        self.meta.topic_ids = ids
        await self._accept(published, begins)
        self.intake = Intake([begin - 1 for begin in begins], self.meta.reached, strict=self._config.strict)
        self.stage = self._working
        self.last_progress = time.monotonic()
        return begins

    async def _load(self) -> None:
        """Reads the shard anew and publishes all its outbox holds, in order, before anything newer."""
        loaded = await self._store.load()
        self._passage = passage_of(self.number, loaded.meta, loaded.ladders, self._rules, any_ladder=self._config.any_ladder)
        self._ladders = loaded.ladders
        refuse_forgotten(self.number, loaded.meta.version, self._handed_to)
        refuse_other_partitions(self.number, loaded.meta, self._config.partitions)
        topic_ids = self.meta.topic_ids
        self.meta, self._labels = loaded.meta, loaded.labels
        self.meta.topic_ids = topic_ids or loaded.meta.topic_ids
        self.meta.layers = loaded.meta.layers or list(self._rules.layers)
        self.meta.partitions = self._config.partitions
        await self._durability.look()
        if loaded.outbox and self._durability.asks:
            await self._store.fence()
            if not await self._until_durable():
                return
        self._epoch += 1
        self._unacknowledged.clear()
        self._acknowledged_to = loaded.outbox[0].version - 1 if loaded.outbox else self.meta.version
        crash_point(CrashPoint.TAKEOVER_BEFORE_OUTBOX)
        for entry in loaded.outbox:
            await self._publish(entry)
        crash_point(CrashPoint.TAKEOVER_AFTER_OUTBOX)
        self._stale = False

    async def _accept(self, published: int, begins: list[int]) -> None:
        """Writes down, as a step of its own, what an operator has accepted: versions that Redis forgot, records that the logs lost."""
        meta = self.meta
        forgotten = max(0, published - meta.version)
        lost = [max(0, begin - 1 - applied) if applied >= 0 else 0 for begin, applied in zip(begins, meta.offsets, strict=True)]
        if not forgotten and not any(lost):
            return
        if forgotten:
            log.error("going on above what redis has forgotten", shard=self.number, published=published, known=meta.version)
            self._metrics.rewound(forgotten)
            meta.version = published
        for i, records in enumerate(lost):
            if records:
                topic = KINDS[i].topic
                log.error("going on without lost records", shard=self.number, topic=topic, records=records, begin=begins[i])
                self._metrics.lost_records(topic, records)
                meta.offsets[i] += records
        await self._store.read(meta.token, [], None)
        fold = self._fold([], [], {})
        fold.meta.ladder = meta.ladder or self._present.id
        await self._apply(fold, 0.0, time.perf_counter())

    # --- work ---------------------------------------------------------------------------------------------------------------------
    def feed(self, topic: int, fetched: Fetched) -> None:
        """What was fetched of one topic; decoded here, judged in the step."""
        began = time.perf_counter()
        batch = self.intake.logs[topic]
        if fetched.messages:
            batch.add(fetched.messages, self._validator.validate)
        batch.caught_up = fetched.at_end
        self._metrics.decode.observe(time.perf_counter() - began)
        self._news.set()

    def is_full(self, topic: int, logs: int, *, was_full: bool) -> bool:
        """Whether the buffer of a topic has no room, being one of `logs` that share it; once full, until it is half empty."""
        share = (2 if was_full else 1) * logs
        log = self.intake.logs[topic]
        return len(log.buffer) >= self._config.buffer_records // share or log.heavy >= self._config.buffer_bytes // share

    async def run(self) -> None:
        """Takes steps until `close`. What stops the shard for an operator is logged and told in `error`."""
        try:
            while not self._closing:
                records = self._pending or self.intake.take(self._config.most_records, time.monotonic())
                if not records and self._passage is None and self._sweep_turn(self._idle_watermark()) is None:
                    await self._wait()
                    continue
                await self._until_room()
                self._pending = records
                await self._step(records)
                self._pending = []
                self.last_progress = time.monotonic()
        except ShardStopped as stopped:
            self._stop(str(stopped))

    def stop(self, why: str) -> None:
        """Stops the shard from outside, for an operator to decide."""
        self._stop(why)
        self._closing = True
        self._news.set()

    async def close(self) -> None:
        """Ends `run` after the step under way."""
        self._closing = True
        self._news.set()

    async def released(self) -> None:
        """After `run` has ended: closes the connection."""
        self._epoch += 1
        if self.stage is not Stage.STOPPED:
            self.stage = Stage.CLOSED
        await self._store.close()
        self._metrics.remove()

    def _stop(self, why: str) -> None:
        self.stage = Stage.STOPPED
        self.error = why
        log.error("shard stopped", shard=self.number, why=why)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits: no record, no sweep, no new ladder, no output."""
        waits = self._pending or self._passage is not None or self._unacknowledged
        return self.intake.is_empty and not waits and self._sweep_turn(self._idle_watermark()) is None

    async def _wait(self) -> None:
        hint = self.intake.wait_hint(time.monotonic())
        self._news.clear()
        try:
            async with asyncio.timeout(1.0 if hint is None else min(hint, 1.0)):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _until_room(self) -> None:
        while len(self._unacknowledged) >= self._config.most_unacknowledged and not self._closing:
            await asyncio.sleep(0.002)

    def _idle_watermark(self) -> int | None:
        """Live and caught up on every topic: the wall clock less a minute."""
        if self._config.event_clock or not self.intake.is_caught_up:
            return None
        return self._now() - MINUTE_MS

    def _sweep_turn(self, idle: int | None) -> int | None:
        """The turn to sweep to: one under way, or one the watermark has passed since the last was done."""
        meta = self.meta
        if meta.sweeping is not None:
            return meta.sweeping
        watermark = max((w for w in (meta.watermark, idle) if w is not None), default=None)
        if watermark is None or meta.swept_to is None:
            return None
        turn = self._present.last_turn(watermark)
        return turn if turn > meta.swept_to else None

    @property
    def _present(self) -> Rules:
        """The ladder that the users stand on, until they begin to move to a new one."""
        return self._rules if self._passage is None else self._passage.old

    @property
    def _working(self) -> Stage:
        return Stage.RUNNING if self._passage is None else Stage.RECOMPUTING

    async def _step(self, records: list[Record]) -> None:
        """One step, as often as it takes: what was thrown away or is in doubt is settled by reading the shard anew, since records that
        have been applied are dropped by their offsets."""
        delay, told = self._config.retry_first, ""
        while True:
            try:
                if self._stale:
                    await self._load()
                if not self._stale:
                    await self._until_moved()
                    if self._passage is None:
                        await self._try_step(records)
            except Conflict:
                self._stale = True
                self._metrics.conflicts.inc()
            except _STORE_ERRORS as error:
                self._stale = True
                self._metrics.lost.inc()
                self.stage = Stage.WAITING_FOR_REDIS
                self.error = str(error) or type(error).__name__
                if self.error != told:
                    told = self.error
                    log.warning("redis does not take the step; trying again until it does", shard=self.number, error=told)
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._config.retry_last)
            else:
                self.stage = self._working
                if told:
                    self.error = None
                    log.info("redis takes steps again", shard=self.number)
                return
            if self._closing:
                return

    async def _try_step(self, records: list[Record]) -> None:
        clock = time.perf_counter
        began = clock()
        trace = self._tracing.step(self.number, records, began) if self._tracing else None
        # 1. Watch and read.
        idle = self._idle_watermark()
        turn = self._sweep_turn(idle)
        roster = None if turn is None else self._roster_range(turn)
        keys = self._user_keys(records)
        users = list(dict.fromkeys(key for key in keys if key))
        values, swept = await self._store.read(self.meta.token, users, roster)
        states = dict(zip(users, values, strict=True))
        if more := [user for user in swept if user not in states]:
            states.update(zip(more, await self._store.read_more(more), strict=True))
        crash_point(CrashPoint.STEP_AFTER_READ)
        read = clock()
        # 2. Fold.
        with self._readable(states):
            fold = self._fold(records, keys, states)
            if fold.replays:
                # Rare enough to fold once more, now knowing which of them the shard has taken before.
                fold = self._fold(records, keys, states, await self._store.replayed(list(fold.replays)))
            if idle is not None:
                fold.advance(idle)
            if turn is not None:
                self._sweep(fold, swept, turn)
        if fold.meta == self.meta:
            await self._store.release()
            return
        fold.meta.ladder = self._present.id
        await self._apply(fold, read - began, read, trace)

    async def _apply(self, fold: Fold, read_s: float, read: float, trace: StepTrace | None = None) -> None:
        """The second half of a step: what was folded goes to Redis and Kafka. Reading took `read_s` seconds and ended at `read`."""
        clock = time.perf_counter
        self._steps += 1
        fold.meta.token = f"{self._token}:{self._steps}"
        states_out, entry = fold.finish()
        if trace:
            trace.found(entry)
        folded = clock()
        # 3. Write, all or nothing; 5. the trim of what has been acknowledged rides along.
        new = {} if fold.meta.ladder in self._ladders else {fold.meta.ladder: encode_rules(self._rules.ladder)}
        replays, users = list(fold.replays), fold.newcomers
        await self._store.write(fold.meta, states_out, users, self._labels.take_added(), entry, self._acknowledged_to, new, replays)
        self.meta = fold.meta
        self._ladders |= new
        if self._durability.asks and not await self._until_durable():
            return
        applied = clock()
        # 4. Publish; the next step does not wait for the acknowledgements.
        crash_point(CrashPoint.STEP_BEFORE_PUBLISH)
        await self._publish(entry)
        crash_point(CrashPoint.STEP_AFTER_PUBLISH)
        if trace:
            trace.end(entry, (read, folded, applied, clock()))
        self._metrics.step(fold, self.unacknowledged, read_s, folded - read, applied - folded, clock() - applied)

    async def _until_durable(self) -> bool:
        """Waits until what was written last would survive; False if the shard is let go before: its next owner waits in its place."""
        while not self._closing:
            if await self._durability.reached():
                return True
            self.stage = Stage.WAITING_FOR_REPLICAS
        return False

    async def _until_moved(self) -> None:
        """Steps that bring all users to the ladder given. Whoever began it, and whenever that is found: records wait."""
        while self._passage is not None and not self._closing:
            self.stage = Stage.RECOMPUTING
            await self._until_room()
            await self._try_move(self._passage)
            self.last_progress = time.monotonic()

    async def _try_move(self, passage: Passage) -> None:
        """A step of the users' move to a new ladder: after the sweep under the old one, as far along the roster as a sweep goes."""
        if self.meta.moving is None and self._sweep_turn(None) is not None:
            await self._try_step([])
            return
        clock = time.perf_counter
        began = clock()
        before, most = self.meta.moving or Moving(ladder=passage.old.id), self._config.most_swept
        _, users = await self._store.read(self.meta.token, [], (before.index, before.index + most - 1))
        states = dict(zip(users, await self._store.read_more(users), strict=True)) if users else {}
        crash_point(CrashPoint.STEP_AFTER_READ)
        read = clock()
        with self._readable(states):
            fold = self._new_fold(passage.rules, states)
            moving = passage.step(fold, users, last=len(users) < most)
        await self._apply(fold, read - began, read)
        self._metrics.moved(before, moving)
        if self.meta.moving is None:
            told = {"users": moving.index, "moved": moving.moved, "short": moving.short}
            log.info("users moved to a new ladder", shard=self.number, old=moving.ladder, new=self.meta.ladder, **told)
            self._passage = passage_of(self.number, self.meta, self._ladders, self._rules, any_ladder=self._config.any_ladder)

    @contextmanager
    def _readable(self, states: dict[str, bytes | None]) -> Iterator[None]:
        """Names the users whose state is not ours where a fold stumbles over it."""
        try:
            yield
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            foreign = [user for user, state in states.items() if not _is_state(state)]
            raise StateUnreadable(
                f"shard {self.number}: expected users' states as this release writes them, found in {', '.join(foreign[:3])}: {error}. "
                "Run the release that wrote them, or build the shard anew (deploy/RUNBOOK.md)"
            ) from None

    def _user_keys(self, records: list[Record]) -> list[str]:
        """The user key of each record, empty for those that touch no user."""
        brands = self._rules.brands
        return [f"{brands[item.brand].key}:{item.user_id}" if isinstance(item, Touchpoint) else "" for _, _, _, item, _ in records]

    def _fold(
        self, records: list[Record], keys: list[str], states: dict[str, bytes | None], replayed: frozenset[str] = frozenset()
    ) -> Fold:
        fold = self._new_fold(self._present, states, replayed)
        take = fold.take
        for record, key in zip(records, keys, strict=True):
            take(record, key)
        if fold.meta.swept_to is None and fold.meta.watermark is not None:
            # The first step may reach over many turns: nobody's clock starts before the earliest of its records, but some may there.
            begins = [at for r in records if not isinstance(r[3], InvalidRecord) and isinstance(at := r[3].occurred_at, int)]
            fold.meta.swept_to = self._rules.last_turn(min(begins, default=fold.meta.watermark))
        return fold

    def _new_fold(self, rules: Rules, states: dict[str, bytes | None], replayed: frozenset[str] = frozenset()) -> Fold:
        return Fold(
            rules,
            self._labels,
            self.meta.copy(),
            states,
            shard=self.number,
            partitions=self._config.partitions,
            now=self._now(),
            cap=not self._config.event_clock,
            replayed=replayed,
        )

    # --- the sweep ----------------------------------------------------------------------------------------------------------------
    def _roster_range(self, turn: int) -> tuple[int, int]:
        begin = self.meta.roster_index if self.meta.sweeping == turn else 0
        return begin, begin + self._config.most_swept - 1

    def _sweep(self, fold: Fold, users: list[str], turn: int) -> None:
        fold.sweep(users, turn)
        meta = fold.meta
        if len(users) == self._config.most_swept:
            meta.roster_index = (meta.roster_index if meta.sweeping == turn else 0) + len(users)
            meta.sweeping = turn
        else:
            # The roster's end: newcomers of this very step began at or after the turn.
            meta.sweeping, meta.roster_index, meta.swept_to = None, 0, turn

    # --- the outbox ---------------------------------------------------------------------------------------------------------------
    async def _publish(self, entry: Entry) -> None:
        mark = [entry.version, 0]
        epoch = self._epoch
        self._handed_to = max(self._handed_to, entry.version)
        self._unacknowledged.append(mark)

        def done() -> None:
            crash_point(CrashPoint.PUBLISH_ACKNOWLEDGED)
            if epoch != self._epoch:
                return
            mark[1] = 1
            while self._unacknowledged and self._unacknowledged[0][1]:
                self._acknowledged_to = self._unacknowledged.popleft()[0]

        await self._publisher.publish(entry, done)

    @property
    def unacknowledged(self) -> int:
        """Outbox entries that Kafka has not acknowledged."""
        return len(self._unacknowledged)


def _is_state(stored: bytes | None) -> bool:
    try:
        return stored is None or bool(decode_state(stored))
    except (msgspec.ValidationError, msgspec.DecodeError):
        return False
