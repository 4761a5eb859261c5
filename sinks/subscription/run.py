"""A subscription at work, until it is told to stop: from Kafka to its webhook or to standard output."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import structlog
from confluent_kafka import KafkaException
from msgspec import Struct

from schemas.follow import Batch, Subscriber
from schemas.positions import FilePositions, Position
from schemas.signature import SecretError, read_secret
from sinks.subscription.config import Subscription, SubscriptionError, Webhook
from sinks.subscription.dispatch import Dispatcher
from sinks.subscription.letters import DeadLetters
from sinks.subscription.webhook import Caller
from streams import metrics

log = structlog.get_logger(__name__)

_MOST, _READ_S = 500, 0.2
_AGAIN_S = 2.0
_GRACE_S = 8.0


class Source(Struct, frozen=True, kw_only=True):
    """Where transitions are read: librdkafka's options, and the topic's full name."""

    kafka: dict[str, Any]
    topic: str
    accept_gap: bool = False


class Running:
    """One subscription. `stop` may be called from any thread or signal handler; `behind` is how many records are still to be read."""

    def __init__(self, subscription: Subscription, source: Source) -> None:
        self.ready = False
        self.waiting = 0
        self.behind = 0
        self.trouble = ""
        self._of = subscription
        self._source = source
        self._stop = threading.Event()

    def stop(self) -> None:
        """Lets it end: what is on its way gets some seconds, the rest is told after the next start."""
        self._stop.set()

    async def to_webhook(self, webhook: Webhook) -> None:
        """Until `stop`. Raises SubscriptionError, RecordsMissed, OtherLog, OSError, and ValueError for a file that holds no positions."""
        key = _key(webhook)
        assert self._of.positions is not None
        kept = FilePositions(Path(self._of.positions))
        letters = DeadLetters(Path(webhook.dead_letters))
        name = self._of.subscription
        caller = Caller(webhook.url, key, subscription=name, timeout=webhook.timeout, connections=webhook.in_flight)
        metrics.SUBSCRIPTION_PAUSED.labels(name).set(0)
        metrics.SUBSCRIPTION_DEAD_LETTERS.labels(name)
        try:
            with closing(letters):
                await self._hand_on(webhook, caller, letters, kept)
        finally:
            await caller.close()

    async def _hand_on(self, webhook: Webhook, caller: Caller, letters: DeadLetters, kept: FilePositions) -> None:
        stored, _ = kept.load()
        subscriber = await asyncio.to_thread(self._connect, stored)
        if subscriber is None:
            return
        with closing(subscriber):
            dispatcher = Dispatcher(self._of.subscription, webhook, caller.post, letters.add, kept.save, stored)
            self.ready = True
            try:
                while not self._stop.is_set():
                    batch = await asyncio.to_thread(subscriber.read, _MOST, _READ_S)
                    self._note(subscriber, batch)
                    dispatcher.check()
                    if batch.moves:
                        await self._unless_stopped(dispatcher, batch)
                    self._tell_waiting(dispatcher.waiting)
            finally:
                self.ready = False
                await dispatcher.drain(_GRACE_S)
                self._tell_waiting(dispatcher.waiting)

    async def _unless_stopped(self, dispatcher: Dispatcher, batch: Batch) -> None:
        """Offers a batch; while there is no room for it, an order to stop is heard."""
        offering = asyncio.create_task(dispatcher.offer(batch))
        while not offering.done() and not self._stop.is_set():
            await asyncio.wait([offering], timeout=_READ_S)
            self._tell_waiting(dispatcher.waiting)
        if offering.done():
            offering.result()
        else:
            offering.cancel()

    def to_lines(self, out: BinaryIO, limit: int | None = None) -> None:
        """Writes transitions as JSON lines until `stop`, or until there were `limit`. Raises as `to_webhook` does, and BrokenPipeError.

        With a file of positions a line is told at least once: it is written before its position is kept.
        """
        kept = None if self._of.positions is None else FilePositions(Path(self._of.positions))
        subscriber = self._connect({} if kept is None else kept.load()[0])
        if subscriber is None:
            return
        told = 0
        with closing(subscriber):
            self.ready = True
            while not self._stop.is_set() and (limit is None or told < limit):
                batch = subscriber.read(_MOST if limit is None else 1, _READ_S)
                self._note(subscriber, batch)
                out.writelines(msgspec.json.encode(one) + b"\n" for one in batch.transitions)
                out.flush()
                told += len(batch.transitions)
                if kept is not None and batch.moves:
                    kept.save(subscriber.positions)

    def _connect(self, stored: Mapping[int, Position]) -> Subscriber | None:
        """A subscriber, as soon as Kafka answers; None if told to stop before. Raises RecordsMissed, OtherLog."""
        while not self._stop.is_set():
            try:
                found = Subscriber(
                    self._source.kafka,
                    topic=self._source.topic,
                    positions=stored,
                    start=self._of.begin(),
                    wanted=self._of.wanted.filter(),
                    accept_gap=self._source.accept_gap,
                )
            except KafkaException as error:
                if not self.trouble:
                    log.warning(
                        "the transitions cannot be read yet: asking until they can", subscription=self._of.subscription, error=str(error)
                    )
                self.trouble = str(error)
                self._stop.wait(_AGAIN_S)
            else:
                self.trouble = ""
                metrics.SUBSCRIPTION_MISSED.labels(self._of.subscription).inc(found.missed)
                return found
        return None

    def _note(self, subscriber: Subscriber, batch: Batch) -> None:
        name = self._of.subscription
        counts = {
            "wanted": len(batch.transitions),
            "unwanted": batch.unwanted,
            "repeat": batch.repeats,
            "unreadable": len(batch.unreadable),
        }
        for outcome, count in counts.items():
            if count:
                metrics.SUBSCRIPTION_TRANSITIONS.labels(name, outcome).inc(count)
        for one in batch.unreadable[:1]:
            more = len(batch.unreadable) - 1
            log.warning(
                "a record is no transition: passed over",
                subscription=name,
                partition=one.partition,
                offset=one.offset,
                why=one.why,
                more=more,
            )
        self.behind = subscriber.behind()
        metrics.SUBSCRIPTION_LAG_RECORDS.labels(name).set(self.behind)

    def _tell_waiting(self, waiting: int) -> None:
        self.waiting = waiting
        metrics.SUBSCRIPTION_WAITING.labels(self._of.subscription).set(waiting)


def _key(webhook: Webhook) -> bytes:
    try:
        return read_secret(Path(webhook.secret_file))
    except SecretError as error:
        raise SubscriptionError(f"secret_file: {error}") from None
