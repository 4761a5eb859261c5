"""The Faust app: one agent over the four touchpoint topics, which hands every batch to its shard."""

from __future__ import annotations

from typing import Any

import faust
import structlog
from faust.tables import TableManager
from msgspec import Struct
from yarl import URL

from schemas.touchpoint import KINDS
from streams.host import ShardHost
from streams.logs import LogReader
from streams.transport import Batch, BatchTransport

log = structlog.get_logger(__name__)


_FOR_EVER_S = 10.0**8


class _App(faust.App):
    """A Faust app that leaves nothing behind: it makes folders for tables in the working directory, and there are no tables."""

    def _create_directories(self) -> None:
        pass


class _NoTables(TableManager):
    """Faust's manager of tables where there are none: its own lets every worker wait a second for them before it asks for its shards."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class GroupConfig(Struct, frozen=True, kw_only=True):
    """How a worker takes part in the consumer group. Times in seconds."""

    group: str
    bootstrap: str
    session_timeout: float = 10.0
    heartbeat: float = 0.5
    rebalance_timeout: float = 10.0
    commit_interval: float = 5.0


def make_app(
    config: GroupConfig,
    host: ShardHost,
    reader: LogReader,
    kafka: dict[str, Any],
) -> faust.App:
    """A Faust app for one worker. It keeps no tables, serves no pages and creates no topics. `kafka` are librdkafka's
    options, of which the login is used."""
    servers = [URL(f"kafka://{server.strip()}") for server in config.bootstrap.split(",")]
    app = _App(
        config.group,
        broker=servers,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_create=False,
        stream_buffer_maxsize=4,
        stream_wait_empty=False,
        broker_session_timeout=config.session_timeout,
        broker_heartbeat_interval=config.heartbeat,
        broker_rebalance_timeout=config.rebalance_timeout,
        broker_commit_interval=config.commit_interval,
        # What Faust allows for taking the shards; when it is over Faust goes on as if they had been taken, reading nothing. Kafka's own
        # requests are bounded by the transport.
        broker_request_timeout=_FOR_EVER_S,
        autodiscover=False,
        TableManager=_NoTables,
    )
    # Outputs go through the publisher; Faust's own producer would only be one more that has to reach Kafka before anything begins.
    app.boot_strategy.enable_kafka_producer = False
    app.transport = BatchTransport(servers, app, host=host, reader=reader, kafka=kafka)
    channel = app.topic(*host.topics, key_serializer="raw", value_serializer="raw", acks=False)

    @app.agent(channel, name="ladder")
    async def ladder(batches: faust.StreamT[Any]) -> None:
        """Hands every batch to its shard and waits for none of them."""
        async for batch in batches:
            assert isinstance(batch, Batch)
            for (topic, partition), fetched in batch.found.items():
                host.feed(topic, partition, fetched)

    assert len(host.topics) == len(KINDS)
    return app
