"""Whether Kafka's acknowledgement of a record may be believed.

An acknowledgement alone is no proof that a record is in the log: a broker that takes a batch for a repeat of another acknowledges it
too, and librdkafka has lost count of sequence numbers before, where a partition had no leader yet or got another one (its issues 3712, 4134
and 4953). Such records come back without an offset, or with one that another has. So each has to lie behind the one before.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, Message


class Offsets:
    """Whether acknowledged records lie where records sent one after the other must lie: each above the one before, in each partition."""

    def __init__(self) -> None:
        self._last: dict[tuple[str | None, int | None], int] = {}

    def wrong(self, record: Message) -> str | None:
        """Takes the next acknowledged record; what is wrong with where it is said to lie, None if nothing is."""
        place, offset = (record.topic(), record.partition()), record.offset()
        last = self._last.get(place, -1)
        if offset is None or offset <= last:
            return f"{place[0]} [{place[1]}]: expected an offset above {last}, the broker acknowledged {offset}"
        self._last[place] = offset
        return None

    def failure(self, error: KafkaError | None, record: Message) -> str | None:
        """What a delivery report says is wrong, as its callback gets it: the error, or where the record is said to lie."""
        return self.wrong(record) if error is None else error.str()
