"""The topics: one YAML file each under `topics/`, read here by whoever creates, writes or describes them."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

DEFAULT_PARTITIONS = 12
"""How many partitions each topic has where a deployment does not say."""

_DAY_MS = 86_400_000


class Topic(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is agreed about one topic.

    `owner` is the folder that answers for it; `direction` is seen from rflow. `key` names the field that is the record's key.
    `partitioner` says who picks the partition: `murmur2` of the key, or the `shard` that writes it, partition p for shard p.
    `compatibility` is what a change within `version` keeps: `backward`, records written before stay readable; `forward`, readers
    written before stay right; `full`, both. `schema` is the JSON Schema of the value, in this folder (of dead letters: of the headers).
    `ce_type` is the CloudEvents type of what rflow writes.
    """

    topic: str
    description: str
    owner: Literal["sources", "streams", "sinks", "warroom"]
    direction: Literal["in", "out", "control"]
    version: Annotated[int, Meta(ge=1)]
    schema: str
    compatibility: Literal["backward", "forward", "full"]
    key: str
    partitions: Literal["deployment"]
    partitioner: Literal["murmur2", "shard"]
    retention_days: Annotated[int, Meta(ge=1)] | None
    cleanup_policy: Literal["delete", "compact"]
    max_message_bytes: Annotated[int, Meta(ge=1_048_588)]
    min_compaction_lag_days: Annotated[int, Meta(ge=1)] | None = None
    dead_letter_topic: str | None = None
    ce_type: str | None = None

    @property
    def retention_ms(self) -> int:
        """How long a record is kept, -1 for ever."""
        return -1 if self.retention_days is None else self.retention_days * _DAY_MS

    def config(self) -> dict[str, str]:
        """The topic's settings, in the broker's own words.

        The broker stamps records itself, so that retention goes by the age of the log: a replay of an old year is kept as long
        as today's records are.
        """
        config = {
            "cleanup.policy": self.cleanup_policy,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        }
        if self.min_compaction_lag_days is not None:
            config["min.compaction.lag.ms"] = str(self.min_compaction_lag_days * _DAY_MS)
        return config


def load_topics() -> dict[str, Topic]:
    """Every topic by its name: what rflow reads, then what it writes."""
    read = [
        msgspec.yaml.decode(file.read_bytes(), type=Topic)
        for file in (files("schemas") / "topics").iterdir()
        if file.name.endswith(".yaml")
    ]
    order = {"in": 0, "out": 1, "control": 2}
    return {topic.topic: topic for topic in sorted(read, key=lambda topic: (order[topic.direction], topic.topic))}
