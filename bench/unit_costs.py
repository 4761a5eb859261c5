"""What an event costs beyond the worker: bytes in Kafka, ClickHouse and Redis' file, CPU of the sink and ClickHouse. A program by itself:

    python -m bench.unit_costs [--events 600000] [--users 60000] [--broker mock]

A stack of its own (`rflow up --broker kafka`) takes a simulated promotion day on the clock of its events, and is asked when all of it is
stored. What it prints goes into `deploy/unit_costs.py`, from which `rflow plan` reckons. CPU is user and system time of whole processes,
from `/proc`, less what they take when nothing happens. What the worker, Redis and Kafka take is measured by `python -m bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.machine import cpu_seconds, describe
from deploy.check import StateReader
from deploy.running import settings_of_data
from deploy.settings import Settings, load_settings
from deploy.wiring import clickhouse_of, redis_of
from sinks.client import connect
from warroom.star import Star

_ROLES = ("sink", "clickhouse")
_IDLE_S = 15.0
_INPUTS = ("touchpoints.exposure", "touchpoints.interaction", "touchpoints.membership", "touchpoints.order")
_ROWS = ("transitions", "orders", "user_layers")
_PATIENCE_S = 900.0


def main() -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--users", type=int, default=60_000)
    parser.add_argument("--broker", choices=("kafka", "mock"), default="kafka", help="mock: in memory, so without bytes in Kafka")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with _stack(data, asked.broker) as settings:
            began, before = time.monotonic(), _cpu(data)
            _rflow("simulate", "--produce", "--as-dated", "--clean", f"--events={asked.events}", f"--users={asked.users}", f"--data={data}")
            events = _until_stored(settings, asked.events)
            took, after = time.monotonic() - began, _cpu(data)
            time.sleep(_IDLE_S)
            idle = {role: (seconds - after[role]) / _IDLE_S for role, seconds in _cpu(data).items()}
            used = {role: after[role] - before[role] - idle[role] * took for role in _ROLES}
            found = _measured(settings, data, events)
    cpu = {f"{role}_cpu_us": round(seconds / events * 1e6, 2) for role, seconds in used.items()}
    idle_cores = {f"{role}_idle_cores": round(cores, 3) for role, cores in idle.items()}
    print(json.dumps({"events": events, **idle_cores, "machine": str(describe()), **found, **cpu}, indent=2))


@contextmanager
def _stack(data: Path, broker: str) -> Iterator[Settings]:
    command = [sys.executable, "-m", "deploy", "up", "--broker", broker, "--no-warroom", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "RFLOW_CLOCK": "event"})
    try:
        until = time.monotonic() + 600
        while not all((data / "run" / f"{role}-1.pid").exists() for role in _ROLES):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the stack did not start")
            time.sleep(0.5)
        time.sleep(_IDLE_S)  # what starting takes is no cost of an event
        yield settings_of_data(str(data), load_settings())
    finally:
        process.terminate()
        process.wait(60)


def _rflow(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "deploy", *arguments], check=True, stdout=subprocess.DEVNULL)


def _cpu(data: Path) -> dict[str, float]:
    return {role: cpu_seconds(int((data / "run" / f"{role}-1.pid").read_text().split()[0])) for role in _ROLES}


def _until_stored(settings: Settings, events: int) -> int:
    """Wait until every event is applied and stored; returns how many there were."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(2)
        with closing(StateReader(settings)) as states, Star(clickhouse_of(settings)) as star:
            metas = [states.meta(shard) for shard in range(settings.partitions)]
            applied = sum(offset + 1 for meta in metas for offset in meta.offsets)
            stored = star.stored()
            if applied >= events and all(stored[shard].version == meta.version for shard, meta in enumerate(metas)):
                return applied
    raise SystemExit(f"waited {_PATIENCE_S:g} s in vain for {events} events to be stored")


def _measured(settings: Settings, data: Path, events: int) -> dict[str, Any]:
    logs = {name: _log_bytes(data, settings.topic_prefix + name) for name in (*_INPUTS, "transitions", "rollups")}
    with closing(connect(clickhouse_of(settings), settings.clickhouse_database)) as client:
        rows = client.query(
            "SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = {database:String} GROUP BY table",
            parameters={"database": settings.clickhouse_database},
        ).result_rows
        minutes = client.query("SELECT uniqExact(minute) FROM touch_minutes").result_rows[0][0]
    tables = {str(name): (int(size), int(count)) for name, size, count in rows}
    with closing(redis_of(settings).client()) as redis:
        info = redis.info()
    sums = sum(size for name, (size, _) in tables.items() if name not in _ROWS)
    return {
        "kafka_input_bytes": round(sum(logs[name] for name in _INPUTS) / events, 1),
        "kafka_transitions_bytes": round(logs["transitions"] / events, 1),
        "kafka_rollups_bytes": round(logs["rollups"] / events, 1),
        "transitions_an_event": round(tables["transitions"][1] / events, 4),
        "orders_an_event": round(tables["orders"][1] / events, 4),
        "clickhouse_bytes_a_transition": round((tables["transitions"][0]) / tables["transitions"][1], 1),
        "clickhouse_bytes_a_user": round(tables["user_layers"][0] / tables["user_layers"][1], 1),
        "clickhouse_bytes_an_order": round(tables["orders"][0] / tables["orders"][1], 1),
        "clickhouse_bytes_a_minute": round(sums / int(minutes), 1),
        "clickhouse_bytes_an_event": round(sum(size for size, _ in tables.values()) / events, 1),
        "clickhouse_minutes": int(minutes),
        "redis_file_bytes": round(int(info["aof_current_size"]) / events, 1),
        "redis_users": int(info.get("db0", {}).get("keys", 0)),
    }


def _log_bytes(data: Path, topic: str) -> int:
    return sum(file.stat().st_size for file in data.rglob(f"{topic}-[0-9]*/*.log"))


if __name__ == "__main__":
    main()
