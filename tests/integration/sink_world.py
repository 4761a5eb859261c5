"""What the sink's tests stand on: a log to publish to, and sinks as processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from sinks.config import ClickHouse, SinkConfig
from tests.integration.sink_config import PARTITIONS
from tests.integration.sink_story import Entry
from tests.servers import wait_until

TOPICS = ("transitions", "rollups", "spend", "promotions", "alerts")
TABLES = {
    "transitions": "shard, version, index, brand, user_id, seq, from_layer, to_layer, kind, effective_at, channel, first_touch_at",
    "orders": "shard, version, event_id, brand, user_id, order_id, occurred_at, amount, layer_before, first_seen, first_channel, channel",
    "steps": "shard, version, ladder, detected_at, watermark, swept_to, toString(offsets), applied, duplicates,"
    " junk, transitions, toString(dead_letters)",
}
SUMS = {
    "new_users": "SELECT brand, minute, sum(users) FROM new_users GROUP BY ALL",
    "flow_minutes": "SELECT brand, minute, from_layer, to_layer, kind, channel, campaign_id, sum(transitions), uniqMerge(users)"
    " FROM flow_minutes GROUP BY ALL",
    "touch_minutes": "SELECT brand, minute, type, channel, campaign_id, store_id, layer_before, sum(touchpoints), uniqMerge(users)"
    " FROM touch_minutes GROUP BY ALL",
    "order_minutes": "SELECT brand, minute, dimension, label, sum(orders), sum(gmv), sum(gmv_new), sum(refunds), uniqMerge(buyers)"
    " FROM order_minutes GROUP BY ALL",
    "move_minutes": "SELECT brand, minute, dimension, label, direction, sum(transitions), uniqMerge(users) FROM move_minutes GROUP BY ALL",
    "user_layers": "SELECT brand, user_id, max(seq), argMax(to_layer, seq), argMax(channel, seq) FROM user_layers GROUP BY ALL",
    "flow_spans": "SELECT brand, minutes, told_by, begins, label, from_layer, to_layer, sum(transitions), uniqMerge(users)"
    " FROM flow_spans GROUP BY ALL",
    "move_spans": "SELECT brand, minutes, dimension, begins, label, direction, sum(transitions), uniqMerge(users) FROM move_spans"
    " GROUP BY ALL",
    "order_spans": "SELECT brand, minutes, dimension, begins, label, sum(orders), sum(gmv), sum(gmv_new), sum(refunds), uniqMerge(buyers)"
    " FROM order_spans GROUP BY ALL",
    "cell_spans": "SELECT brand, minutes, begins, layer_before, channel, store_id, sum(orders), sum(gmv), sum(refunded)"
    " FROM cell_spans GROUP BY ALL",
    "purchase_spans": "SELECT brand, minutes, dimension, begins, label, layer_before, sum(orders), sum(gmv), uniqMerge(buyers)"
    " FROM purchase_spans GROUP BY ALL",
    "shop_flow_spans": "SELECT brand, minutes, told_by, begins, label, from_layer, to_layer, sum(transitions), uniqMerge(users)"
    " FROM shop_flow_spans GROUP BY ALL",
    "head_spans": "SELECT brand, minutes, dimension, begins, label, store_id, layer, sum(entered), sum(gone) FROM head_spans"
    " WHERE dimension != 'filled' GROUP BY ALL",
    "move_sample": "SELECT brand, person, rank, seq, from_layer, to_layer, direction, effective_at, channel, store_id, first_touch_at"
    " FROM move_sample",
    "order_sample": "SELECT brand, person, order_hash, rank, type, occurred_at, amount, refunded, layer_before, first_seen, channel,"
    " store_id FROM order_sample",
    "promotions": "SELECT promotion_id, version, brand, changed_by, reason, effective_from, target_gmv, record FROM promotions FINAL",
    "alerts": "SELECT brand, alert_id, version, state, severity, since, at, users_at_stake, acknowledged_by, record FROM alerts FINAL",
    "junk_minutes": "SELECT brand, minute, type, channel, sum(records) FROM junk_minutes GROUP BY ALL",
    "shards": "SELECT shard, max(version), max(watermark), max(swept_to) FROM shards GROUP BY shard",
    "spend": "SELECT spend_id, brand, day, begins_at, channel, campaign_id, amount FROM spend FINAL",
}


class Log:
    """Writes entries to the topics as the publisher does. On the in-memory broker the topics appear with it."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
        for topic in TOPICS:
            wait_until(partial(self._exists, topic), topic)

    def _exists(self, topic: str) -> bool:
        name = f"{self.prefix}{topic}"
        return len(self._producer.list_topics(name, timeout=5).topics[name].partitions) == PARTITIONS

    def publish(self, partition: int, entries: Sequence[Entry]) -> None:
        """Append the entries to a partition and wait for the acknowledgements."""
        for entry in entries:
            for topic in ("alerts", "transitions", "rollups"):
                for value in getattr(entry, topic):
                    self.send(topic, partition, value)
        self.flush()

    def send(self, topic: str, partition: int, value: bytes) -> None:
        """Append one record."""
        self._producer.produce(f"{self.prefix}{topic}", value, partition=partition)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait for the acknowledgements."""
        assert self._producer.flush(20) == 0


@contextmanager
def sink_process(settings: SinkConfig, crash_at: str | None = None, nth: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A sink as a process; it ends with the block. `crash_at` arms a crash point."""
    arguments = [
        settings.kafka["bootstrap.servers"],
        settings.topic_prefix,
        settings.clickhouse.url,
        settings.clickhouse.database,
        settings.linger,
        settings.block_rows,
        settings.on_gap.value,
        crash_at or "",
        nth,
    ]
    command = [sys.executable, "-m", "tests.integration.sink_main", *(str(argument) for argument in arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stderr and not process.stderr.closed:
            process.communicate()


def run_until_killed(settings: SinkConfig, crash_at: str, nth: int) -> bool:
    """Run a sink until its crash point kills it; False if it never got there within far more time than storing everything takes."""
    with sink_process(settings, crash_at, nth) as process:
        try:
            return process.wait(60) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False


def run_until_stored(settings: SinkConfig, steps: dict[int, int], records: int, seconds: float = 120, alerts: int = 0) -> None:
    """Run a sink until the shards are stored up to their last version, and all transitions and states of alerts."""
    with sink_process(settings) as process:
        assert process.stdout is not None
        process.stdout.readline()  # what is stored already must not end it before it hears SIGTERM
        wait_until(lambda: process.poll() is not None or is_stored(settings.clickhouse, steps, records, alerts), "the sink", seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        _, errors = process.communicate()
        assert process.returncode == 0, errors


def is_stored(clickhouse: ClickHouse, steps: dict[int, int], transitions: int, alerts: int = 0) -> bool:
    """Whether the shards are stored up to these versions, with so many transitions and states of alerts, and no block is open."""
    try:
        shards = dict(query(clickhouse, "SELECT shard, max(version) FROM shards GROUP BY shard"))
        if any(shards.get(shard, 0) < version for shard, version in steps.items()):
            return False
        ((stored, states, is_open),) = query(clickhouse, _STORED)
    except Exception:
        return False
    return stored >= transitions and states >= alerts and not is_open


_STORED = """
    SELECT
        (SELECT count() FROM transitions),
        (SELECT uniqExact(alert_id, version) FROM alerts),
        (SELECT countIf(state = 'done') = 0 FROM sink_blocks WHERE block = (SELECT max(block) FROM sink_blocks))
"""


def is_migrated(clickhouse: ClickHouse) -> bool:
    """Whether the sink's tables are there."""
    try:
        return bool(query(clickhouse, "SELECT count() FROM shards"))
    except Exception:
        return False


def query(clickhouse: ClickHouse, text: str) -> list[tuple[Any, ...]]:
    """Rows of one statement in the sink's database."""
    return [tuple(row) for row in _client(clickhouse.url, clickhouse.database).query(text).result_rows]


@cache
def _client(url: str, database: str) -> Client:
    """A client asks the server for its version, time zone and settings when it is made: once is enough."""
    return clickhouse_connect.get_client(dsn=url, database=database, compress=False, autogenerate_session_id=False)


def contents(clickhouse: ClickHouse) -> dict[str, list[str]]:
    """All that the tables hold, row by row and in order, without the numbers of blocks."""
    selects = {name: f"SELECT {columns} FROM {name}" for name, columns in TABLES.items()} | SUMS
    return {name: sorted(str(row) for row in query(clickhouse, text)) for name, text in selects.items()}
