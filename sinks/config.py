"""What the ClickHouse sink is told. Values, handed down by whoever reads the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

OPTIONS = ("ca_cert", "client_cert", "client_cert_key", "server_host_name", "tls_mode", "verify")
"""What can be said of TLS, in clickhouse-connect's words."""


class OnGap(StrEnum):
    """What to do when records are missing from the log."""

    STOP = "stop"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouse:
    """A ClickHouse server and the database in it.

    `url` is `http[s]://[user[:password]@]host:port`, with `OPTIONS` in its query or in `options`. `password` is asked for with every
    request, so that it may change; without it those in the URL hold. A request that takes longer than `timeout` seconds counts as
    unanswered.
    """

    url: str = field(repr=False)
    database: str = "rflow"
    user: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = ()
    compress: bool = False
    connect_timeout: int = 3
    timeout: int = 60

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.database):
            raise ValueError(f"expected a database name of letters, digits and _, found {self.database!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """How the sink reads and stores.

    `kafka` is librdkafka's configuration of the consumer; the topics are `topic_prefix` + those of `sinks.decision.Stream`, of
    `partitions` partitions each. A block is stored once it has `block_rows` rows or its oldest record is `linger` seconds old. While
    ClickHouse is away the sink waits `backoff_first` seconds, twice as long each time, `backoff_most` at most.
    """

    kafka: dict[str, str | int | bool]
    clickhouse: ClickHouse
    partitions: int
    topic_prefix: str = ""
    group: str = "rflow-sink"
    on_gap: OnGap = OnGap.STOP
    block_rows: int = 50_000
    linger: float = 1.0
    read_messages: int = 64
    read_timeout: float = 0.1
    backoff_first: float = 0.2
    backoff_most: float = 10.0
    lag_interval: float = 5.0
    stop_grace: float = 8.0
