"""What goes in: seeded promotion days, cut into slices, and the feeder that writes them at a steady pace while faults strike."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from deploy.settings import load_settings
from deploy.wiring import validator_of
from schemas.acknowledged import Offsets
from schemas.deadletter import Reason
from schemas.ladder_file import load_ladder
from schemas.touchpoint import KINDS, Tick
from sinks.bounded import BoundedReader
from sources.simulator.config import BREAKABLE, SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.slices import Record, Slice, SlicePolicy, Slicer
from streams.logs import Place
from tests.stretched import stretched

EVENTS = 3_000
SLICE_RECORDS = 50
EVERY_S = 0.25
"""A slice is written every so many seconds; when none is left, ticks alone, so that there is always something to move the figures."""
_MISPLACED = 0.03
_ADDED_S = 60.0
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Input:
    """Slices in order; `invalid` counts by reason those that will be dead letters, `begin` and `end` are the first and last time."""

    slices: tuple[Slice, ...]
    invalid: Counter[str]
    begin: int
    end: int

    @property
    def events(self) -> int:
        """Records without ticks."""
        return sum(len(piece.records) for piece in self.slices)


@cache
def strict_input(number: int, partitions: int) -> Input:
    """Nearly in order of time, with late records, copies, double orders, refunds and broken lines, all on the right partitions."""
    config = SimulatorConfig(
        load_ladder("5r"),
        seed=101 + number,
        users=700,
        events=EVENTS,
        start=datetime(2024, 1, 1, 18),
        peak=4,
        late=0.005,
        retries=0.01,
        double_orders=0.05,
        text_times=0,
        broken=0.01,
    )
    return _cut(stretched(config), partitions, config.start_ms)


def live_input(seed: int, partitions: int) -> Input:
    """The thirty hours until an hour ago; some records lie on a wrong partition."""
    ladder = load_ladder("5r")
    start = datetime.now(ZoneInfo(ladder.time_zone)).replace(tzinfo=None, microsecond=0) - timedelta(hours=31)
    config = SimulatorConfig(
        ladder,
        seed=seed,
        users=700,
        events=EVENTS,
        start=start,
        peak=4,
        broken=0.01,
        broken_reasons=tuple(reason for reason in BREAKABLE if reason is not Reason.FUTURE),
    )
    made = _cut(PromotionDay(config).lines(), partitions, config.start_ms)
    random = Random(f"misplaced {seed}")
    for piece in made.slices:
        piece.records[:] = [_misplaced(record, random, partitions) for record in piece.records]
    return made


def _misplaced(record: Record, random: Random, partitions: int) -> Record:
    return record._replace(partition=random.randrange(partitions)) if random.random() < _MISPLACED else record


def _cut(lines: Iterator[bytes], partitions: int, begin: int) -> Input:
    slicer = Slicer(validator_of(load_settings()), partitions, SlicePolicy(records=SLICE_RECORDS))
    slices = tuple(slicer.slices(lines))
    return Input(slices, slicer.counts.invalid, begin, slices[-1].time)


class Feeder:
    """Writes an input, slice after slice, each followed by a tick on every log, of which there are so many `partitions` a topic by now;
    touchpoints go on to lie where they were cut for."""

    def __init__(self, bootstrap: str, prefix: str, given: Input, partitions: int) -> None:
        self._prefix = prefix
        self._input = given
        self.partitions = partitions
        self._next = 0
        self._stop = threading.Event()
        self._failure: str | None = None
        self._offsets = Offsets()
        self._kafka = {"bootstrap.servers": bootstrap}
        self._sent: defaultdict[Place, list[bytes]] = defaultdict(list)
        self._unsure: set[Place] = set()
        """where records were acknowledged as written before, which leaves it to the reader to look"""
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2, "message.timeout.ms": 0, "log_level": 0}
            | {"topic.metadata.refresh.interval.ms": 1_000}
        )
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Writes no more, whatever is left."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._producer.purge()
        self._producer.close()

    def finish(self) -> None:
        """Writes what is left at once and returns when Kafka has it all."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        while self._next < len(self._input.slices):
            self._write()
        left = self._producer.flush(60)
        assert left == 0, f"{left} records were not acknowledged"
        for place in sorted(self._unsure):
            self._look(*place)
        assert self._failure is None, self._failure

    def _look(self, topic: str, partition: int) -> None:
        """Whether a log holds all that was sent to it, in order."""
        with closing(BoundedReader(self._kafka, "feeder")) as reader:
            log = [
                message.value() or b"" for part in reader.batches(topic, partition, *reader.bounds(topic, partition)) for message in part
            ]
        sent = self._sent[topic, partition]
        lost = Counter(sent) - Counter(log)
        in_order = iter(log)
        if lost or not all(value in in_order for value in sent):
            self._failure = (
                f"{topic} [{partition}]: expected all {len(sent)} records that were acknowledged in the log, in order, found "
                f"{lost.total()} missing, the first of them the {sent.index(next(iter(lost))) + 1 if lost else 0}th: {list(lost)[:2]}"
            )

    def _feed(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._write()
            self._producer.poll(0)
            due += EVERY_S
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _write(self) -> None:
        piece = self._input.slices[min(self._next, len(self._input.slices) - 1)]
        if self._next < len(self._input.slices):
            for record in piece.records:
                self._send(record.kind.topic, record.partition, record.key, record.value)
        self._next += 1
        tick = _encode(Tick(occurred_at=piece.time))
        for kind in KINDS:
            for partition in range(self.partitions):
                self._send(kind.topic, partition, None, tick)

    def _send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        self._sent[self._prefix + topic, partition].append(value)
        until = time.monotonic() + _ADDED_S
        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key, partition, on_delivery=self._delivered)
                return
            except KafkaException as error:
                # A partition that was added a moment ago: a client learns of it when it asks for the topic anew.
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION or time.monotonic() > until:
                    raise
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, record: Message) -> None:
        if error is None and record.offset() is None:
            self._unsure.add((str(record.topic()), record.partition() or 0))
            return
        wrong = self._offsets.wrong(record) if error is None else error
        if wrong is not None:
            self._failure = self._failure or str(wrong)
