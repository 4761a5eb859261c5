"""Transitions as they are published: one Kafka consumer a process, whatever the number of followers, under the subscriber's rule.

The latest records are kept, so that a follower that comes back goes on where it was. Who is too slow, or away for too long, is told to
begin anew rather than being given a stream with a hole in it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from itertools import islice

import msgspec
import structlog
from confluent_kafka import KafkaException, TopicPartition
from msgspec import Struct

from schemas.kafka_client import Consumer
from schemas.subscriber import SubscriberRule
from schemas.transition import Transition
from streams import metrics
from warroom.auth.masking import Mask

log = structlog.get_logger(__name__)

_KEPT = 20_000
_MOST_BEHIND = 5_000
_IDLE_S = 60.0
_KEEP_ALIVE_S = 15.0
_READY_S = 10.0
_REQUEST_S = 5.0
_decode = msgspec.json.Decoder(Transition).decode


class Filter(Struct, frozen=True, kw_only=True):
    """Which transitions to follow; None for any."""

    brand: str
    from_layer: str | None = None
    to_layer: str | None = None
    channel: str | None = None

    def takes(self, one: Transition) -> bool:
        """Whether it is one of them."""
        return (
            one.brand == self.brand
            and self.from_layer in (None, one.from_)
            and self.to_layer in (None, one.to)
            and self.channel in (None, one.touch.channel)
        )


class _Follower:
    """What one follower has still to be sent; `lost` when it was too much."""

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.waiting: deque[Transition] = deque()
        self.lost = False
        self.news = asyncio.Event()

    def offer(self, one: Transition) -> None:
        if not self.wanted.takes(one):
            return
        if len(self.waiting) >= _MOST_BEHIND:
            self.waiting.clear()
            self.lost = True
            metrics.WARROOM_LEFT_BEHIND.inc()
        self.waiting.append(one)
        self.news.set()


class Follow:
    """The consumer and its followers. Followers belong to one event loop; the consumer has a thread of its own."""

    def __init__(self, kafka: Mapping[str, str | int | float | bool], topic_prefix: str, partitions: int) -> None:
        self._kafka = dict(kafka)
        self._topic = f"{topic_prefix}transitions"
        self._partitions = partitions
        self._followers: set[_Follower] = set()
        self._kept: deque[Transition] = deque(maxlen=_KEPT)
        self._stop: threading.Event | None = None
        self._ready = asyncio.Event()
        self._idle_since = 0.0

    async def follow(self, wanted: Filter, after: str | None, mask: Mask | None) -> AsyncGenerator[bytes, None]:
        """Server-sent events: `transition` with the record's id, and `gap` where some were missed. `mask` hides user ids.

        `after` is the id of the last transition that was received: what came after it and is still kept is sent first. Ends at once if
        Kafka does not answer: the answer has begun by then, and a client comes again by itself.
        """
        self._start()
        try:
            async with asyncio.timeout(_READY_S):
                await self._ready.wait()
        except TimeoutError:
            yield b": Kafka does not answer\n\n"
            return
        follower = _Follower(wanted)
        kept = self._after(after)
        for one in kept or ():
            follower.offer(one)
        self._followers.add(follower)
        try:
            if kept is None:
                yield b"event: gap\ndata: {}\n\n"
            yield b": following\n\n"
            while True:
                if follower.lost:
                    follower.lost = False
                    yield b"event: gap\ndata: {}\n\n"
                while follower.waiting:
                    yield _frame(follower.waiting.popleft(), mask)
                follower.news.clear()
                try:
                    async with asyncio.timeout(_KEEP_ALIVE_S):
                        await follower.news.wait()
                except TimeoutError:
                    yield b": nothing new\n\n"
        finally:
            self._followers.discard(follower)
            self._idle_since = time.monotonic()

    def close(self) -> None:
        """Ends the consumer."""
        if self._stop is not None:
            self._stop.set()

    def _after(self, last: str | None) -> list[Transition] | None:
        """What is kept behind a record, nothing without one; None if that is no longer kept."""
        if last is None:
            return []
        for i, one in enumerate(self._kept):
            if one.id == last:
                return list(islice(self._kept, i + 1, None))
        return None

    def _start(self) -> None:
        if self._stop is None or self._stop.is_set():
            self._kept.clear()  # what came meanwhile is not known
            self._stop, self._ready = threading.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._consume, args=(loop, self._stop, self._ready), name="follow", daemon=True).start()

    def _consume(self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ready: asyncio.Event) -> None:
        rule = SubscriberRule()
        options = {"fetch.wait.max.ms": 100, "log_level": 0, **self._kafka, "group.id": "rflow-warroom", "enable.auto.commit": False}
        consumer = Consumer(options)
        try:
            # Where the logs end now, and not when librdkafka comes to it: what is published from here on is not missed.
            places = [TopicPartition(self._topic, partition) for partition in range(self._partitions)]
            ends = [consumer.get_watermark_offsets(place, timeout=_REQUEST_S)[1] for place in places]
            consumer.assign([TopicPartition(self._topic, partition, end) for partition, end in enumerate(ends)])
            loop.call_soon_threadsafe(ready.set)
            while not stop.is_set():
                found = []
                for message in consumer.consume(1_000, 0.1):
                    if message.error() is not None:
                        continue  # librdkafka tries again by itself
                    try:
                        one = _decode(message.value() or b"")
                    except msgspec.MsgspecError as error:
                        log.warning(
                            "a transition could not be read", partition=message.partition(), offset=message.offset(), error=str(error)
                        )
                        continue
                    if rule.is_new(one.shard, one.version, one.index):
                        found.append(one)
                loop.call_soon_threadsafe(self._take, found, stop)
        except RuntimeError:
            stop.set()  # the loop is closed
        except KafkaException as error:
            log.warning("transitions cannot be followed", error=str(error))
            stop.set()
        finally:
            consumer.close()

    def _take(self, found: list[Transition], stop: threading.Event) -> None:
        self._kept.extend(found)
        for one in found:
            for follower in self._followers:
                follower.offer(one)
        if not self._followers and time.monotonic() - self._idle_since > _IDLE_S:
            stop.set()


def _frame(one: Transition, mask: Mask | None) -> bytes:
    shown = one if mask is None else msgspec.structs.replace(one, user_id=mask(one.user_id))
    return b"event: transition\nid: %s\ndata: %s\n\n" % (one.id.encode(), msgspec.json.encode(shown))
