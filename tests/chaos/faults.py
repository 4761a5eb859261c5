"""The faults of the campaign: what can be done to the processes and connections of a deployment, and what must hold after each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SESSION_TIMEOUT_S = 10.0
"""The workers' default, which the campaign runs with."""
KILLED_S = 15.0
"""How soon all figures move again after a worker's kill -9."""
GRACEFUL_S = 3.0
"""How soon after a graceful stop, and how long at most they stand still in a rolling restart."""
CADENCE_S = 2.0
"""What lies between two moves of a shard's figures in peace, at most: the sink's linger, a slice of input, and looking."""


class Kind(StrEnum):
    """Every kind of fault: whom it strikes, and how."""

    WORKER_KILL = "worker.kill"
    """kill -9; another is started in its place"""
    WORKER_STOP = "worker.stop"
    """SIGTERM; another is started in its place"""
    WORKER_FREEZE = "worker.freeze"
    """SIGSTOP and, within the session timeout, SIGCONT"""
    WORKER_LOST = "worker.freeze_beyond_session"
    """SIGSTOP until others have its shards, then SIGCONT: two workers believe that they own them"""
    WORKER_JOIN = "worker.join_and_leave"
    """one more worker, which leaves again"""
    WORKER_ROLL = "worker.rolling_restart"
    """each worker stopped and started, one after the other"""
    SINK_KILL = "sink.kill"
    SINK_STOP = "sink.stop"
    SINK_FREEZE = "sink.freeze"
    SINK_TWIN = "sink.twin"
    """a second sink beside the first, for a while"""
    BROKER_KILL = "broker.kill"
    BROKER_RESTART = "broker.restart"
    BROKER_FREEZE = "broker.freeze"
    REDIS_KILL = "redis.kill"
    REDIS_FREEZE = "redis.freeze"
    REDIS_FULL = "redis.disk_full"
    """its append-only file may not grow: Redis ends in the middle of a write, and is started again"""
    REDIS_REFUSES = "redis.refuses_writes"
    """it cannot save: every write is answered with MISCONF"""
    CLICKHOUSE_KILL = "clickhouse.kill"
    CLICKHOUSE_FREEZE = "clickhouse.freeze"
    CLICKHOUSE_FULL = "clickhouse.disk_full"
    """every statement is answered with NOT_ENOUGH_SPACE and not carried out"""
    REDIS_CUT = "redis_link.cut"
    REDIS_HALF_REPLY = "redis_link.half_reply"
    REDIS_HALF_REQUEST = "redis_link.half_request"
    REDIS_SLOW = "redis_link.slow"
    REDIS_HANG = "redis_link.hang"
    REDIS_HOLE = "redis_link.black_hole"
    CLICKHOUSE_CUT = "clickhouse_link.cut"
    CLICKHOUSE_HALF_REPLY = "clickhouse_link.half_reply"
    CLICKHOUSE_HALF_REQUEST = "clickhouse_link.half_request"
    CLICKHOUSE_SLOW = "clickhouse_link.slow"
    CLICKHOUSE_HANG = "clickhouse_link.hang"
    CLICKHOUSE_HOLE = "clickhouse_link.black_hole"
    KAFKA_CUT = "kafka_link.cut"
    KAFKA_HALF_REPLY = "kafka_link.half_reply"
    KAFKA_HALF_REQUEST = "kafka_link.half_request"
    KAFKA_SLOW = "kafka_link.slow"
    KAFKA_HANG = "kafka_link.hang"
    KAFKA_HOLE = "kafka_link.black_hole"
    CLOCK_FORWARD = "clock.forward"
    CLOCK_BACK = "clock.back"

    @property
    def family(self) -> str:
        """Whom it strikes. Two faults of one family are never under way at once."""
        return self.value.partition(".")[0]

    @property
    def how(self) -> str:
        """What is done to it."""
        return self.value.partition(".")[2]


_LASTS: dict[str, tuple[float, float]] = {
    "kill": (0.0, 2.0),
    "stop": (0.0, 2.0),
    "restart": (0.0, 1.0),
    "freeze": (0.5, 4.0),
    "freeze_beyond_session": (12.0, 14.0),
    "join_and_leave": (1.0, 3.0),
    "twin": (2.0, 4.0),
    "disk_full": (0.5, 2.5),
    "refuses_writes": (0.5, 3.0),
    "slow": (1.0, 4.0),
    "hang": (0.5, 5.0),
    "half_reply": (0.5, 2.0),
    "half_request": (0.5, 2.0),
    "forward": (0.5, 4.0),
    "back": (0.5, 4.0),
}
"""From how many seconds to how many a fault is kept up; those that are not named are over at once."""


def lasts(kind: Kind) -> tuple[float, float]:
    """The shortest and the longest time a fault of this kind is kept up, in seconds."""
    return _LASTS.get(kind.how, (0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It strikes `at` seconds after its burst begins and is kept up for `lasts` seconds. `target` chooses among workers;
    `share`, from 0 to 1, is the rest of what chance decides: how many bytes pass, how long a delay is, how far the clock jumps."""

    kind: Kind
    at: float
    lasts: float
    target: int
    share: float

    def __str__(self) -> str:
        return f"{self.kind.value}(at {self.at:.2f} s, for {self.lasts:.2f} s, target {self.target}, share {self.share:.3f})"


def bound(kind: Kind) -> float | None:
    """Seconds from the strike within which the figures of every shard must move again; None where only standing still is bounded."""
    return {Kind.WORKER_KILL: KILLED_S, Kind.WORKER_STOP: GRACEFUL_S}.get(kind)


def stand_still_bound(kind: Kind) -> float:
    """Seconds that any shard's figures may stand still after the fault is over."""
    if kind in (Kind.WORKER_ROLL, Kind.WORKER_STOP, Kind.WORKER_JOIN):
        return GRACEFUL_S
    return KILLED_S if kind is Kind.WORKER_KILL else SESSION_TIMEOUT_S + CADENCE_S
