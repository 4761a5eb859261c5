"""The floor under any processor in Python: consume and decode, and nothing else. `python -m bench.floor JOB`, JOB as JSON.

librdkafka hands over batches, msgspec decodes each record into its struct. Prints its figures as JSON.
"""

from __future__ import annotations

import sys
import time

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

from schemas.touchpoint import KINDS, STRUCTS

_BATCH = 10_000


class Job(Struct, frozen=True, kw_only=True):
    """What to read: `begin` has the first offset of each partition of each input topic, in the order of KINDS."""

    bootstrap: str
    prefix: str
    begin: list[list[int]]
    events: int


class Figures(Struct, frozen=True, kw_only=True):
    """What it took, from the first record to the last."""

    events: int
    seconds: float
    cpu_seconds: float


def run(job: Job) -> Figures:
    """Consumes and decodes `job.events` records. Raises KafkaException."""
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": "floor",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 100_000,
        }
    )
    decoders = {job.prefix + kind.topic: msgspec.json.Decoder(STRUCTS[kind]).decode for kind in KINDS}
    consumer.assign(
        [
            TopicPartition(job.prefix + kind.topic, partition, offset)
            for kind, offsets in zip(KINDS, job.begin, strict=True)
            for partition, offset in enumerate(offsets)
        ]
    )
    count, began, cpu = 0, 0.0, 0.0
    while count < job.events:
        messages = consumer.consume(_BATCH, 1.0)
        if not count and messages:
            began, cpu = time.perf_counter(), time.process_time()
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            decoders[message.topic()](message.value())  # type: ignore[index, arg-type]  # a record that was fetched has both
        count += len(messages)
    figures = Figures(events=count, seconds=time.perf_counter() - began, cpu_seconds=time.process_time() - cpu)
    consumer.close()
    return figures


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Job))).decode())
