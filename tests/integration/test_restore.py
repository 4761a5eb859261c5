"""Redis and ClickHouse lost, restored from backups of different moments, and brought together: all counts once, as if nothing had been."""

from __future__ import annotations

import json
import re
import shutil
import signal
import uuid
from collections import Counter
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from typer.testing import CliRunner

from deploy.check import census_of
from deploy.cli.commands import app_of
from deploy.desk import desk_of
from deploy.doctor.finding import Level
from deploy.doctor.published import look
from deploy.restore import restored
from deploy.wiring import clickhouse_of, redis_of, wall_clock
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import from_rfc3339
from schemas.touchpoint import KINDS
from sinks.config import ClickHouse
from sources.simulator.config import SimulatorConfig
from streams.crash import CrashPoint
from streams.errors import RflowError
from tests.integration.sink_world import SUMS, query
from tests.integration.test_promotions import definition
from tests.restoring import back_up_redis, data_of, put_back, restore_redis
from tests.servers import Server, Servers, wait_until
from tests.stretched import stretched
from tests.workers import PATIENCE_S, ROOT, Deployment, Worker
from warroom.alerts.book import opened
from warroom.alerts.engine import BrandState, Incident
from warroom.alerts.minutes import Key
from warroom.alerts.outlet import Outlet
from warroom.alerts.topic import AlertTopic
from warroom.star import Star

PARTITIONS, PARTS = 4, 4
FIRING = msgspec.json.decode((ROOT / "schemas/examples/alerts/valid/firing.json").read_bytes(), type=Alert)
UPDATED = msgspec.structs.replace(FIRING, state=AlertState.UPDATED, version=FIRING.version + 1)
OTHER = msgspec.structs.replace(FIRING, alert_id="other")
FIGURES = {name: text for name, text in SUMS.items() if name not in ("promotions", "alerts", "shards", "spend")} | {
    "orders": "SELECT event_id, type, brand, user_id, order_id, occurred_at, amount, refunded, layer_before, first_seen FROM orders",
    "transitions": "SELECT brand, user_id, seq, from_layer, to_layer, kind, effective_at, cause_event_id, channel FROM transitions",
    "steps": "SELECT sum(applied), sum(duplicates), sum(junk), sum(late), sum(transitions), sumMap(dead_letters), sum(ticks) FROM steps",
}
"""All that is counted, however it was cut into steps."""


@cache
def parts() -> list[list[bytes]]:
    """Touchpoints of most of a year in order of time: exposures, interactions, joins, orders and refunds, some of them broken."""
    config = SimulatorConfig(
        load_ladder("5r"), seed=5, users=300, events=4_000, start=datetime(2025, 1, 1, 18), peak=4, late=0, text_times=0, broken=0.01
    )
    lines = list(stretched(config))
    cuts = [n * len(lines) // PARTS for n in range(PARTS + 1)]
    return [lines[begin:end] for begin, end in pairwise(cuts)]


class World(Deployment):
    """A deployment with a sink, fed part by part."""

    def sink(self) -> Worker:
        """One more sink."""
        made = Worker(self.environment(), self.folder / f"sink-{len(self.workers)}.log", module=("deploy", "sink"))
        self.workers.append(made)
        return made

    def feed(self, part: int) -> dict[tuple[str, int], int]:
        """Produces a part of the touchpoints; the ends of the logs."""
        return self.replay(parts()[part], slice_records=250).ends

    def until_stored(self, sink: Worker) -> None:
        """Until ClickHouse has every step that Redis has."""
        versions = {shard: meta.version for shard, meta in enumerate(self.metas())}
        wait_until(lambda: not sink.is_running or stored(self) == versions, "all to be stored", 60)
        assert sink.is_running, sink.tail()

    def figures(self) -> dict[str, list[str]]:
        """What ClickHouse holds, row by row."""
        return {name: sorted(str(row) for row in query(clickhouse_of(self.settings), text)) for name, text in FIGURES.items()}

    def forget_logs(self) -> None:
        """Deletes, as retention does, all touchpoints, and of what was told all but each partition's last record."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        kept = {**{kind.topic: 0 for kind in KINDS}, "rollups": 1, "transitions": 1}
        places = {TopicPartition(self.topic(name), shard): last for name, last in kept.items() for shard in range(PARTITIONS)}
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = {place: answer.result(10).offset for place, answer in admin.list_offsets(dict.fromkeys(places, latest)).items()}
        gone = [TopicPartition(place.topic, place.partition, max(0, ends[place] - last)) for place, last in places.items()]
        for answer in admin.delete_records(gone).values():
            answer.result(10)

    def rflow(self, *arguments: str) -> Any:
        """A command, here; what it prints as JSON."""
        done = CliRunner(env=self.environment()).invoke(app_of(), [*arguments, "--json"])
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)


def stored(world: World) -> dict[int, int]:
    with Star(clickhouse_of(world.settings)) as star:
        return {shard: one.version for shard, one in star.stored().items()}


def world(folder: Path, kafka: str, redis_url: str, clickhouse_url: str, database: str) -> World:
    name = uuid.uuid4().hex[:10]
    given = {
        "clickhouse_url": clickhouse_url,
        "clickhouse_database": database,
        "clock": "event",
        "intake": "strict",
        "session_timeout": 2.0,
    }
    made = World(folder, kafka, redis_url, f"r{name}.", f"r{name}", partitions=PARTITIONS, sink_linger=0.2, **given)
    made.create_topics()
    return made


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str, clickhouse_url: str) -> dict[str, list[str]]:
    """What is counted in peace."""
    database = f"r_{uuid.uuid4().hex[:10]}"
    with world(tmp_path_factory.mktemp("peace"), kafka, redis_url, clickhouse_url, database) as peace:
        sink, worker = peace.sink(), peace.start()
        ends: dict[tuple[str, int], int] = {}
        for part in range(PARTS):
            ends |= peace.feed(part)
        peace.until_applied(ends)
        peace.until_stored(sink)
        found = peace.figures()
        assert worker.stop(PATIENCE_S) == 0
        assert sink.stop(PATIENCE_S) == 0
        query(clickhouse_of(peace.settings), f"DROP DATABASE {database}")
        return found


def starts_empty(server: Server, backup: Path) -> bool:
    """Whether a Redis with `appendonly yes` passes over the backup's file."""
    put_back(server, backup)
    server.start()
    with redis.Redis.from_url(server.address) as client:
        keys = client.dbsize()
    server.kill()
    return not keys


def restore_clickhouse(server: Server, backup: Path, database: str) -> None:
    """From nothing but the backup."""
    folder = data_of(server)
    empty(folder)
    shutil.copytree(backup, folder / "backups" / "first")
    server.start()
    ask(server, f"RESTORE DATABASE {database} FROM File('first')")


def ask(server: Server, statement: str) -> None:
    query(ClickHouse(url=server.address, database="default"), statement)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def records_of(world: World, forgotten: dict[int, range]) -> Counter[str]:
    """How many records of rollups and transitions the log holds of these steps."""
    found: Counter[str] = Counter()
    for topic in ("rollups", "transitions"):
        for message in world.read(topic):
            told = orjson.loads(message.value() or b"")
            found[topic] += told["version"] in forgotten[told["shard"]]
    return found


def test_both_lost_and_restored_everything_counts_once(
    expected: dict[str, list[str]], tmp_path: Path, kafka: str, servers: Servers
) -> None:
    redis_server, clickhouse_server = servers.redis(), servers.clickhouse()
    with world(tmp_path, kafka, redis_server.address, clickhouse_server.address, "own") as lost:
        # Part 1, and ClickHouse's backup, for which the sink stands still.
        sink, worker = lost.sink(), lost.start()
        lost.until_applied(lost.feed(0))
        lost.until_stored(sink)
        assert sink.stop(PATIENCE_S) == 0
        ask(clickhouse_server, "BACKUP DATABASE own TO File('first')")
        shutil.move(data_of(clickhouse_server) / "backups" / "first", tmp_path / "clickhouse")
        backed_up = stored(lost)
        # Part 2, and Redis' backup in the midst of it.
        sink = lost.sink()
        with desk_of(lost.settings) as desk:
            desk.create(definition(), by="chen", because="first plan")
        tell(lost, 0, FIRING, [FIRING])
        lost.feed(1)
        lost.until(lambda: all(meta.version > backed_up[shard] for shard, meta in enumerate(lost.metas())), "steps of part 2")
        back_up_redis(redis_server, tmp_path / "redis")
        # Part 3, of which the backups know nothing.
        with desk_of(lost.settings) as desk:
            desk.adjust("acme-d11-2026", ["tmall/R3/conversion_rate=6%"], by="chen", because="it goes well")
        tell(lost, 1, UPDATED, [UPDATED, OTHER])
        lost.until_applied(lost.feed(2))
        with pytest.raises(RflowError, match=f"expected no worker in the group {lost.settings.group}, found 1: stop all of them"):
            restored(lost.settings)
        lost.until_stored(sink)
        worker.kill()
        sink.kill()
        redis_server.kill()
        published = lost.published()
        # Redis alone restored: ClickHouse holds what would be told again.
        assert starts_empty(redis_server, tmp_path / "redis"), "the warning in BACKUP.md can go"
        restore_redis(redis_server, tmp_path / "redis")
        until_nobody_works(lost)
        known = [meta.version for meta in lost.metas()]
        assert all(backed_up[shard] < known[shard] < published[shard] for shard in range(PARTITIONS))
        assert [(one.level, one.found.split(" lack")[0]) for one in look(lost.settings)] == [(Level.WRONG, "shards [0, 1, 2, 3]")]
        ask(clickhouse_server, "INSERT INTO own.steps (block, shard, version) VALUES (1000000, 0, 0)")
        refused(
            lost, rf"shard 3: expected .* found version {published[3]} there, {known[3]} in Redis: restore ClickHouse", "end of steps: "
        )
        # ClickHouse, too.
        clickhouse_server.kill()
        restore_clickhouse(clickhouse_server, tmp_path / "clickhouse", "own")
        assert stored(lost) == backed_up
        plan = lost.rflow("restored", "--dry-run")
        assert [(one["redis"], one["published"], one["clickhouse"]) for one in plan["shards"]] == [
            (known[shard], published[shard], backed_up[shard]) for shard in range(PARTITIONS)
        ]
        assert (plan["done"], plan["promotions"], plan["alerts"], plan["told"]) == (False, 1, 2, 0)
        assert plan["forgotten"] == sum(published) - sum(known) > 0
        # Killed between ClickHouse and Redis, and between two shards.
        for crash_point in (f"{CrashPoint.STEP_BEFORE_EXEC.value}:1", f"{CrashPoint.STEP_AFTER_EXEC.value}:2"):
            cut_short = Worker(lost.environment(crash_point=crash_point), tmp_path / "restored.log", module=("deploy", "restored"))
            assert cut_short.wait() == -signal.SIGKILL, cut_short.tail()
        assert [meta.version for meta in lost.metas()] == [*(version + 1 for version in published[:2]), *known[2:]]
        done = lost.rflow("restored")
        assert [one["forgotten"] for one in done["shards"]] == [0, 0, published[2] - known[2], published[3] - known[3]]
        assert all(finding.good for finding in look(lost.settings))
        with desk_of(lost.settings) as desk:
            assert [one.version for one in desk.versions("acme-d11-2026")] == [1, 2]
        with opened(redis_of(lost.settings)) as book:
            (incident,) = book.load(FIRING.brand)[1].incidents
            assert incident.alert == UPDATED
            (closed,) = [one.alert for one in book.unread(AlertTopic.name, 10)]
            assert (closed.alert_id, closed.state, closed.version) == (OTHER.alert_id, AlertState.RESOLVED, OTHER.version + 1)
            assert book.tried(AlertTopic.name) is not None, "what was being sent when Redis was lost may have arrived"
        assert lost.rflow("restored")["alerts"] == 0
        # Part 4, and all is as if nothing had been.
        sink, worker = lost.sink(), lost.start()
        lost.until_applied(lost.feed(3))
        lost.until_stored(sink)
        forgotten = {shard: range(known[shard] + 1, published[shard] + 1) for shard in range(PARTITIONS)}
        passed_over = {name: sink.metric("rflow_sink_forgotten_records_total", stream=name) for name in ("rollups", "transitions")}
        assert passed_over == records_of(lost, forgotten)
        assert min(passed_over.values()) > 0
        assert worker.stop(PATIENCE_S) == 0
        assert sink.stop(PATIENCE_S) == 0
        found = lost.figures()
        assert {name: rows for name, rows in found.items() if rows != expected[name]} == {}
        recomputed = lost.recompute()
        assert (recomputed.differences, recomputed.missing) == ([], 0)
        with Star(clickhouse_of(lost.settings)) as star, closing(lost.states()) as states:
            assert star.ledger_balances() == []
            in_redis = census_of(states, lost.settings, load_ladder("5r"))
            assert {brand: star.census(brand).layers for brand in in_redis} == in_redis
        # From before all that the logs still hold.
        lost.forget_logs()
        with redis.Redis.from_url(redis_server.address) as client:
            client.flushdb()
        ask(clickhouse_server, "TRUNCATE TABLE own.sink_blocks")
        refused(
            lost, r"expected touchpoints\.\w+ to reach back to offset 0", r"rollups\[\d\]: expected to go on at offset 0, the log begins at"
        )


def tell(world: World, version: int, held: Alert, alerts: list[Alert]) -> None:
    """As the alerts' engine does: the book holds an alert, and the topic is told these."""
    incident = Incident(alert=held, key=Key("R2", "R3"), began=from_rfc3339(FIRING.at), minutes=3, change=-0.5, at_stake=9.0)
    state = BrandState(brand=FIRING.brand, judged=from_rfc3339(FIRING.at), incidents=(incident,))
    with opened(redis_of(world.settings)) as book:
        assert book.save(version, state, alerts)
        Outlet(AlertTopic(world.settings.kafka_client(), world.settings.topic_prefix), book, wall_clock, to_all=True).step()


def refused(world: World, *why: str) -> None:
    with pytest.raises(RflowError) as error:
        restored(world.settings)
    assert [one for one in why if not re.search(one, str(error.value))] == [], str(error.value)


def until_nobody_works(deployment: Deployment) -> None:
    """Until the group has given up who was killed."""
    admin, group = AdminClient({"bootstrap.servers": deployment.bootstrap}), deployment.settings.group
    wait_until(lambda: not admin.describe_consumer_groups([group])[group].result().members, "the group to be empty", 30)
