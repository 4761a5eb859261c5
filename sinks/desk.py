"""The dead letters' desk: reads `deadletters`, knows where each letter stands, sends letters again, and takes them off the desk.

Where a letter stands is never guessed: the shard's own account in Redis says which replays were taken, and the topic itself which came
back. A purge is one line in Redis, kept for as long as its letters are in the topic: Kafka can delete the beginning of a log but nothing
out of its middle, and `rflow check` needs the letters to know what was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message

from schemas.acknowledged import Offsets
from schemas.kafka_client import Producer
from sinks.bounded import BoundedReader
from sinks.deadletters import BadLetter, DeadLetter, FirstSeen, LetterId, Purge, State, Wanted, letter_id, read_letter, state_of
from streams.store import ShardKeys

TOPIC = "deadletters"
_PRODUCER: dict[str, Any] = {
    "enable.idempotence": True,
    "linger.ms": 2,
    "message.timeout.ms": 60_000,
    "message.max.bytes": 5_000_000,
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Purge).decode


class Shown(NamedTuple):
    """A letter and where it stands."""

    letter: DeadLetter
    state: State


class Desk:
    """All letters that were in the topic when the desk was opened. Blocking; for one thread.

    `kafka` is librdkafka's client configuration, `redis` a client of redis-py. Its methods raise KafkaException, TimeoutError, RedisError.
    """

    def __init__(self, kafka: dict[str, Any], topic_prefix: str, partitions: int, redis: Any, key_prefix: str) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._redis = redis
        self._keys = [ShardKeys(key_prefix, shard).replayed for shard in range(partitions)]
        self._purges_key = f"{key_prefix}:deadletters:purged"
        self._reader = BoundedReader(kafka, "rflow-dlq")
        self._bounds = [self._reader.bounds(topic_prefix + TOPIC, partition) for partition in range(partitions)]
        self._producer: Producer | None = None
        self._error: KafkaError | None = None
        self._offsets = Offsets()
        self.unreadable: list[str] = []
        """records of the topic that are no dead letters, as seen by the last pass"""
        self.sent_to: dict[tuple[str, int], int] = {}
        """the end of each log that replays were sent to, by its full name and partition"""

    def close(self) -> None:
        """Ends the connections to Kafka."""
        self._reader.close()
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1)

    # --- looking ------------------------------------------------------------------------------------------------------------------
    def letters(self, wanted: Wanted, on_read: Callable[[int], None] = lambda _: None) -> Iterator[Shown]:
        """The letters that are meant, each once, partition after partition; `on_read` hears of each batch that was read."""
        purges = self._purges()
        begins = self._begins(wanted)
        latest = self._came_back(begins, on_read)
        for batch in self._batches(begins, on_read):
            chosen = [letter for letter in batch if wanted.fits(letter)]
            if not chosen:
                continue
            replayed = self.replayed(chosen)
            for letter in chosen:
                yield Shown(letter, state_of(letter, replayed, latest, purges))

    def replayed(self, letters: Sequence[DeadLetter]) -> dict[str, int]:
        """Of letters of one partition, the places whose replay the shard has taken, and when, in epoch milliseconds."""
        if not letters:
            return {}
        places = [letter.place for letter in letters]
        found = self._redis.zmscore(self._keys[letters[0].partition], places)
        return {place: int(at) for place, at in zip(places, found, strict=True) if at is not None}

    def _begins(self, wanted: Wanted) -> dict[int, int]:
        """By partition, where to begin to read; a letter comes before those of its replays, which are in its own partition."""
        if not wanted.ids:
            return {partition: low for partition, (low, _) in enumerate(self._bounds)}
        begins: dict[int, int] = {}
        for partition, offset in sorted(wanted.ids, reverse=True):
            if partition < len(self._bounds):
                begins[partition] = max(offset, self._bounds[partition][0])
        return begins

    def _batches(self, begins: dict[int, int], on_read: Callable[[int], None]) -> Iterator[list[DeadLetter]]:
        """All letters from there on, each once; a batch is of one partition."""
        self.unreadable = []
        first = FirstSeen()
        for partition, begin in begins.items():
            for messages in self._reader.batches(self._prefix + TOPIC, partition, begin, self._bounds[partition][1]):
                yield [letter for message in messages if (letter := self._letter(message)) is not None and first.is_new(letter)]
                on_read(len(messages))

    def _letter(self, message: Message) -> DeadLetter | None:
        try:
            return read_letter(message)
        except BadLetter as error:
            self.unreadable.append(str(error))
            return None

    def _came_back(self, begins: dict[int, int], on_read: Callable[[int], None]) -> dict[str, LetterId]:
        """The last letter of each record whose replay was refused: all have to be read before the first can be judged."""
        return {
            letter.place: letter_id(letter)
            for batch in self._batches(begins, on_read)
            for letter in batch
            if letter.headers.replay_of is not None
        }

    # --- sending ------------------------------------------------------------------------------------------------------------------
    def send(self, letter: DeadLetter, topic: str, value: bytes | None) -> None:
        """Hands a replay to the producer. It goes to the partition that refused the record: the shard there knows what was replayed, and
        forwards what belongs elsewhere. Raises KafkaException for what Kafka will not take."""
        if self._producer is None:
            self._producer = Producer({**self._kafka, **_PRODUCER})
        while True:
            try:
                self._producer.produce(
                    self._prefix + topic,
                    value=value,
                    key=letter.key,
                    partition=letter.partition,
                    headers=dict(letter.mark().headers()),
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                self._raise_failure()
                return

    def sent(self) -> None:
        """Returns when Kafka has acknowledged all that was sent. Raises KafkaException."""
        if self._producer is not None:
            while self._producer.flush(1.0):
                self._raise_failure()
        self._raise_failure()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None and (wrong := self._offsets.wrong(message)) is not None:
            error = KafkaError(KafkaError._FAIL, wrong)
        if error is not None:
            self._error = self._error or error
            return
        log = str(message.topic()), message.partition() or 0
        self.sent_to[log] = max(self.sent_to.get(log, 0), (message.offset() or 0) + 1)

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise KafkaException(self._error)

    # --- taking off ---------------------------------------------------------------------------------------------------------------
    def purge(self, wanted: Wanted, at: int) -> None:
        """Takes the letters that are meant off the desk, as of `at` in epoch milliseconds; forgets purges whose letters are gone."""
        for line in self._redis.lrange(self._purges_key, 0, -1):
            if all(low >= end for (low, _), end in zip(self._bounds, _decode(line).ends, strict=False)):
                self._redis.lrem(self._purges_key, 1, line)
        purge = Purge(at=at, wanted=wanted, ends=tuple(high for _, high in self._bounds))
        self._redis.rpush(self._purges_key, _encode(purge))

    def _purges(self) -> list[Purge]:
        return [_decode(line) for line in self._redis.lrange(self._purges_key, 0, -1)]
