"""A topic of transitions, written as rflow writes it, for subscribers to read."""

from __future__ import annotations

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from schemas.follow import Subscriber
from schemas.topics import load_topics
from schemas.transition import Touch, Transition
from tests.servers import create_topics
from tests.unit.schemas.example_files import SCHEMAS

PARTITIONS = 2
TEMPLATE = msgspec.json.decode((SCHEMAS / "examples" / "transitions" / "valid" / "advance.json").read_bytes(), type=Transition)


class Log:
    """A topic of transitions. Step v of a shard has v mod 3 of them; those of index 1 lead to R4, through the shop."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.kafka = {"bootstrap.servers": kafka}
        self.topic = topic
        create_topics(kafka, [topic], PARTITIONS, load_topics()["transitions"].config())
        self._producer = Producer({**self.kafka, "enable.idempotence": True})

    def grow(self, partitions: int) -> None:
        admin = AdminClient({**self.kafka})
        (added,) = admin.create_partitions([NewPartitions(self.topic, partitions)]).values()
        added.result(20)
        self._producer = Producer({**self.kafka, "enable.idempotence": True})

    def tell(self, shard: int, *versions: int) -> None:
        for version in versions:
            for index in range(version % 3):
                more = {"to": "R4", "touch": Touch(channel="shop")} if index else {}
                one = msgspec.structs.replace(TEMPLATE, id=f"{shard}:{version}:{index}", shard=shard, version=version, index=index, **more)
                self.put(shard, msgspec.json.encode(one))

    def put(self, shard: int, value: bytes | None) -> None:
        self._producer.produce(self.topic, value, partition=shard)
        assert self._producer.flush(20) == 0

    def follow(self, **given: object) -> Subscriber:
        return Subscriber(self.kafka, topic=self.topic, **given)  # type: ignore[arg-type]

    def tell_users(self, users: range, seqs: range) -> list[str]:
        """A step for each number in `seqs`, in which each user moves; the ids told. User u stands on shard u mod 2."""
        told = []
        for seq in seqs:
            for shard in range(PARTITIONS):
                own = [user for user in users if user % PARTITIONS == shard]
                for index, user in enumerate(own):
                    id_ = f"{shard}:{seq}:{index}"
                    one = msgspec.structs.replace(TEMPLATE, id=id_, shard=shard, version=seq, index=index, user_id=f"u{user}", seq=seq)
                    self._producer.produce(self.topic, msgspec.json.encode(one), partition=shard)
                    told.append(id_)
        assert self._producer.flush(20) == 0
        return told
