"""Reads the lanes from Kafka, from where ClickHouse says, never from the committed offset."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from schemas.kafka_client import AdminClient, Consumer
from sinks.config import SinkConfig
from sinks.decision import Lane, Log, Stream, log_state
from sinks.errors import LogGap, LogStale

log = logging.getLogger("rflow.sink")

_REQUEST_SECONDS = 5.0
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_CONSUMER: dict[str, str | int | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "fetch.queue.backoff.ms": 5,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 32_768,
    "topic.metadata.refresh.interval.ms": 30_000,
}


class Message(NamedTuple):
    """One record as it lies in the log."""

    lane: Lane
    offset: int
    value: bytes | None


class KafkaAway(Exception):
    """The brokers do not answer, or a topic is not there yet: try again later."""


class Reader:
    """The consumer of all lanes. Not safe for several threads."""

    def __init__(self, config: SinkConfig) -> None:
        self._topics = {stream: f"{config.topic_prefix}{stream.value}" for stream in Stream}
        self._streams = {topic: stream for stream, topic in self._topics.items()}
        self._partitions = config.partitions
        self._continue = config.on_gap.value == "continue"
        self._kafka: dict[str, str | int | float | bool] = {**config.kafka}
        self._admin = AdminClient(self._kafka)
        self._consumer = Consumer({**_CONSUMER, **config.kafka, "group.id": config.group})

    def check_topics(self) -> None:
        """Raises KafkaAway until every topic is there with its partitions, LogStale if one has another number of them."""
        for topic in self._topics.values():
            try:
                found = self._consumer.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic]
            except KafkaException as error:
                raise KafkaAway(f"Kafka does not answer: {error.args[0].str()}") from error
            if found.error is not None or not found.partitions:
                raise KafkaAway(f"topic {topic} is not there yet")
            if len(found.partitions) != self._partitions:
                raise LogStale(
                    f"topic {topic}: expected {self._partitions} partitions, found {len(found.partitions)}: "
                    "set `partitions` to what the workers have"
                )

    def seek(self, offsets: dict[Lane, int]) -> dict[Lane, int]:
        """From now on read these lanes, each from its offset on, and no others; returns where each begins. Raises as `begins` does."""
        found = self.begins(offsets)
        self._consumer.assign([TopicPartition(self._topics[lane.stream], lane.partition, at) for lane, at in found.items()])
        return found

    def begins(self, offsets: dict[Lane, int]) -> dict[Lane, int]:
        """Where reading would begin that is to go on at these offsets.

        Raises KafkaAway, LogStale, or LogGap where the log does not reach back to it and gaps are not accepted.
        """
        starts = {}
        firsts, ends = self._offsets(offsets, _EARLIEST), self._offsets(offsets, _LATEST)
        for lane, wanted in offsets.items():
            match log_state(wanted, firsts[lane], ends[lane]):
                case Log.STALE:
                    raise LogStale(
                        f"{self._name(lane)} ends at offset {ends[lane]}, but {wanted} records of it are stored: it is not the topic that "
                        "was stored from. Give the sink another database"
                    )
                case Log.GAP:
                    if not self._continue:
                        raise LogGap(
                            f"{self._name(lane)}: expected to go on at offset {wanted}, the log begins at {firsts[lane]}: "
                            "what lay between was deleted before it was stored. --on-gap continue accepts the loss"
                        )
                    log.warning("%s: offsets %d to %d are gone", self._name(lane), wanted, firsts[lane] - 1)
                    starts[lane] = firsts[lane]
                case Log.FITS:
                    starts[lane] = wanted
        return starts

    def expect(self, offsets: dict[Lane, int]) -> None:
        """Raises LogStale if a lane ends before its offset, KafkaAway."""
        ends = self._offsets(offsets, _LATEST)
        for lane, wanted in offsets.items():
            if log_state(wanted, 0, ends[lane]) is Log.STALE:
                raise LogStale(
                    f"{self._name(lane)} ends at offset {ends[lane]}, expected {wanted} at least: it is not the topic that was stored from"
                )

    def read(self, limit: int, timeout: float) -> Iterator[Message]:
        """Up to `limit` records of any lanes, each lane in its order; waits `timeout` seconds at most for the first `limit`.

        Raises LogGap if what is asked for has been deleted meanwhile.
        """
        for message in self._consumer.consume(limit, timeout):
            error = message.error()
            if error is not None:
                self._weigh(error)
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is None or partition is None or offset is None:
                continue
            yield Message(Lane(self._streams[topic], partition), offset, message.value())

    def ends(self, lanes: Iterable[Lane]) -> dict[Lane, int]:
        """The offset that the next record of each lane will get. Raises KafkaAway."""
        return self._offsets(lanes, _LATEST)

    def commit(self, offsets: dict[Lane, int]) -> None:
        """Tell the tools that watch lag how far ClickHouse has it. Nothing else reads it, so a failure is only logged."""
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topics[lane.stream], lane.partition, offset) for lane, offset in offsets.items()],
                asynchronous=True,
            )
        except KafkaException as error:
            log.info("offsets not committed: %s", error.args[0].str())

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def _offsets(self, lanes: Iterable[Lane], which: OffsetSpec) -> dict[Lane, int]:
        places = {TopicPartition(self._topics[lane.stream], lane.partition): lane for lane in lanes}
        try:
            asked = self._admin.list_offsets(dict.fromkeys(places, which), request_timeout=_REQUEST_SECONDS)
            return {places[place]: answer.result().offset for place, answer in asked.items()}
        except KafkaException as error:
            # a client that has asked before goes on asking the leader of then, and never hears of the new one
            self._admin = AdminClient(self._kafka)
            raise KafkaAway(f"Kafka does not tell offsets: {error.args[0].str()}") from error

    def _weigh(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LogGap(f"the log was cut off while it was being read: {error.str()}. The next start names what is missing")
        if error.fatal():
            raise KafkaException(error)
        log.warning("Kafka: %s", error.str())

    def _name(self, lane: Lane) -> str:
        return f"{self._topics[lane.stream]}[{lane.partition}]"
