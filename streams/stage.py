"""What a shard is told of how to take steps, and what it says it is doing."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class StepConfig(Struct, frozen=True, kw_only=True):
    """How steps are taken. Times in seconds."""

    partitions: int
    strict: bool = False
    event_clock: bool = False
    """the watermark moves by events and ticks alone"""
    most_records: int = 4_000
    most_swept: int = 2_000
    buffer_records: int = 80_000
    """of all logs of a worker; above its share of them a log is left out of the fetch until its buffer is half empty"""
    buffer_bytes: int = 128_000_000
    """the same for what heavy records weigh together"""
    most_unacknowledged: int = 16
    """a step waits while this many outbox entries have not been acknowledged"""
    retry_first: float = 0.1
    retry_last: float = 5.0
    continue_on_gap: bool = False
    any_ladder: bool = False
    """users are moved to an older version of their ladder, or to another one, too"""
    continue_on_rewind: bool = False
    replicas: int = 0
    """of Redis that must have a step before it is published"""
    replica_timeout: float = 1.0
    topic_ids: bool = True
    """whether the broker tells topics' ids (librdkafka's mock cluster does not)"""


class Stage(StrEnum):
    """What a shard is doing."""

    OPENING = "opening"
    RUNNING = "running"
    RECOMPUTING = "recomputing"
    """users move to a new ladder, records wait"""
    WAITING_FOR_REDIS = "waiting_for_redis"
    WAITING_FOR_REPLICAS = "waiting_for_replicas"
    STOPPED = "stopped"
    CLOSED = "closed"
