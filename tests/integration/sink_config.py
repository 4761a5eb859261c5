"""The settings of sinks under test. Apart from `sink_world`, so that a sink as a process loads what a sink needs and no more."""

from __future__ import annotations

from sinks.config import ClickHouse, SinkConfig

PARTITIONS = 4


def config(bootstrap: str, prefix: str, url: str, database: str, **other: object) -> SinkConfig:
    """A sink's configuration, quick to act."""
    values = {"linger": 0.1, "block_rows": 450, "backoff_most": 0.5, "lag_interval": 0.2, **other}
    return SinkConfig(
        kafka={"bootstrap.servers": bootstrap, "log_level": 0},
        clickhouse=ClickHouse(url=url, database=database),
        partitions=PARTITIONS,
        topic_prefix=prefix,
        **values,  # type: ignore[arg-type]
    )
