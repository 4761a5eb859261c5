"""The simulated midnight with half of R2 to R3 missing in one channel: told on the topic and to a robot, once, and over when it is over;
with the worker killed instead, the pipeline's alarm alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339
from sinks.config import ClickHouse
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.simulator.drop import parse_drop
from tests.channel_doubles import Double, served, wecom
from tests.integration.sink_world import is_stored, query
from tests.servers import wait_until
from tests.workers import ROOT, Deployment, Worker
from warroom.alerts.book import opened
from warroom.states import RedisConfig

PATIENCE_S = 240
EVENTS = 300_000
"""In three hours: 270 a minute in the evening, 23,000 in the first minute of the sale. A small brand's: some hundred a minute join by the
channel then, and half of that must be told from chance by some six hundred joins of the evening before."""
BRAND = "acme"
MIDNIGHT = from_rfc3339("2025-11-10T16:00:00Z")
DROP = "R2>R3@00:02-00:12:0.5,channel=wecom"


class World:
    """A worker, a sink and the process that judges, and what comes out."""

    def __init__(self, deployment: Deployment, double: Double, folder: Path, database: str) -> None:
        self.deployment = deployment
        self.double = double
        self.folder = folder
        self.database = database
        self.worker = deployment.start()
        self.sink = self.process("sink")

    def process(self, *module: str, **given: Any) -> Worker:
        """Another of rflow's processes, that ends with the deployment's."""
        made = Worker(self.deployment.environment(**given), self.folder / f"{module[0]}.log", module=("deploy", *module))
        self.deployment.workers.append(made)
        return made

    @property
    def clickhouse(self) -> ClickHouse:
        """The sink's database."""
        return ClickHouse(url=self.deployment.settings.clickhouse_url.get_secret_value(), database=self.database)

    def feed(self, lines: list[bytes]) -> None:
        """Touchpoints, until they are stored."""
        ends = self.deployment.replay(lines).ends
        self.deployment.until(lambda: self.deployment.is_applied(ends, self.deployment.metas()), "the worker", PATIENCE_S)
        steps = {shard: meta.version for shard, meta in enumerate(self.deployment.metas())}
        wait_until(lambda: is_stored(self.clickhouse, steps, 0), "the sink", PATIENCE_S)

    def rflow(self, *arguments: str) -> Any:
        """What a command tells as JSON."""
        command = [sys.executable, "-m", "deploy", *arguments, "--json"]
        run = subprocess.run(command, cwd=ROOT, env=self.deployment.environment(), capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        return msgspec.json.decode(run.stdout)

    def alerts(self) -> list[Alert]:
        """What the topic says, in order of versions."""
        found = [msgspec.json.decode(message.value() or b"", type=Alert) for message in self.deployment.read("alerts")]
        return sorted(found, key=lambda one: (one.at, one.alert_id, one.version))


@contextmanager
def world(folder: Path, kafka: str, redis: str, clickhouse: str, database: str, prefix: str) -> Iterator[World]:
    with served(Double(wecom), "/send?key=k-1") as double:
        (folder / "channels.yaml").write_text(f'channels:\n  - {{name: ops, kind: wecom, url: "{double.url}"}}\n')
        (folder / "alerts.yaml").write_text("version: 3\n")
        given = {
            "intake": "strict",
            "clock": "event",
            "clickhouse_url": clickhouse,
            "clickhouse_database": database,
            "sink_linger": 0.2,
            "alert_rules": str(folder / "alerts.yaml"),
            "alert_channels": str(folder / "channels.yaml"),
            "alert_link": "https://room.example/",
        }
        with Deployment(folder, kafka, redis, prefix, prefix.rstrip("."), **given) as deployment:
            deployment.create_topics()
            yield World(deployment, double, folder, database)


@pytest.fixture
def running(tmp_path: Path, kafka: str, redis_db_url: str, clickhouse_url: str, database: str, topic_prefix: str) -> Iterator[World]:
    with world(tmp_path, kafka, redis_db_url, clickhouse_url, database, topic_prefix) as made:
        yield made


def test_a_drop_in_one_channel_at_midnight_and_then_a_worker_that_is_killed(running: World) -> None:
    config = SimulatorConfig(
        load_ladder("5r"),
        seed=4,
        events=EVENTS,
        users=EVENTS // 5,
        brands=(BRAND,),
        start=datetime(2025, 11, 10, 21, 30),
        hours=3.1,
        late=0,
        broken=0,
        retries=0,
        text_times=0,
        drops=(parse_drop(DROP),),
    )
    lines = list(PromotionDay(config).lines())
    cut = next(i for i, line in enumerate(lines) if _at(line) >= MIDNIGHT)
    last = next(i for i, line in enumerate(lines) if _at(line) >= MIDNIGHT + 35 * MINUTE_MS)
    running.feed(lines[:cut])
    judging = running.process("alerts")
    wait_until(lambda: judging.get("/readyz")[0] == 200, "the alerts' process", PATIENCE_S)

    # 1. The midnight: found within three minutes, with its channel, once on the topic and once at the robot; over when it is over.
    for begin in range(cut, last, 60_000):  # no more at once than the sink stores well within the lag that alarms
        running.feed(lines[begin : min(begin + 60_000, last)])
    wait_until(lambda: _states(running) >= {AlertState.FIRING, AlertState.RESOLVED}, "the alert and its end", PATIENCE_S)
    told = running.alerts()
    firing = told[0]
    assert (firing.state, firing.rule, firing.scope) == (AlertState.FIRING, "flow_drop", {"channel": "wecom"})
    assert firing.flow is not None
    assert (firing.flow.from_, firing.flow.to) == ("R2", "R3")
    assert 0 < from_rfc3339(firing.at) - (MIDNIGHT + 2 * MINUTE_MS) <= 3 * MINUTE_MS
    assert {one.alert_id for one in told} == {firing.alert_id}
    assert told[-1].state is AlertState.RESOLVED
    wait_until(lambda: len(running.double.taken) >= 1 and "恢复" in running.double.taken[-1], "the robot", PATIENCE_S)
    text = "\n".join(running.double.taken)
    assert text.count(firing.title["zh"]) >= 1
    assert "wecom" in text
    assert "https://room.example/alerts?brand=acme" in text

    # 2. The worker is killed: records wait, the pipeline alarms, no flow does. What it waits for is shortened while it runs.
    (running.folder / "alerts.yaml").write_text("version: 4\npipeline:\n  lag_seconds: 15\n")
    running.worker.kill()
    running.deployment.replay(lines[last:])
    wait_until(lambda: any(one.rule == "pipeline_down" for one in running.alerts()), "the pipeline's alarm", PATIENCE_S)
    assert {one.rule for one in running.alerts() if one.at > told[-1].at} == {"pipeline_down"}

    # 3. It comes back: the pipeline's alarm resolves, and what was told is told once.
    running.deployment.start()
    wait_until(
        lambda: any(one.rule == "pipeline_down" and one.state is AlertState.RESOLVED for one in running.alerts()), "its end", PATIENCE_S
    )
    assert judging.stop() == 0
    # 4. Kept, each state once; and history through the same rules tells the same alert.
    told_at = [(one.alert_id, one.version) for one in running.alerts()]
    stored = "SELECT alert_id, version FROM alerts ORDER BY at, alert_id, version"
    wait_until(lambda: len(query(running.clickhouse, stored)) >= len(told_at), "the alerts' table", PATIENCE_S)
    assert sorted(query(running.clickhouse, stored)) == sorted(told_at)
    (replayed,) = running.rflow("alerts", "test", "--against", "2025-11-11 00:00..2025-11-11 00:34")
    (again,) = [one for one in replayed["fired"] if one["flow"] == {"from": "R2", "to": "R3"}]
    assert (again["scope"], again["at"]) == ({"channel": "wecom"}, from_rfc3339(firing.at))
    assert again["resolved_at"] is not None
    versions = [(one.alert_id, one.version) for one in running.alerts()]
    assert len(set(versions)) == len(versions)
    settings = running.deployment.settings
    with opened(RedisConfig(url=settings.redis_url.get_secret_value(), prefix=settings.redis_prefix)) as book:
        _, state = book.load(BRAND)
    assert state.down is None
    assert [one.ended > 0 for one in state.incidents] == [True]


def _states(running: World) -> set[AlertState]:
    return {one.state for one in running.alerts()}


def _at(line: bytes) -> int:
    return int(msgspec.json.decode(line)["occurred_at"])
