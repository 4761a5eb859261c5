"""rflow on Kafka, Redis and ClickHouse with TLS, users of its own, and no right too many: the same figures as without.

The tests share one deployment and run in order: what the first has brought in, the others go on with.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytest
import redis
from confluent_kafka import KafkaError

from deploy.doctor import kafka
from deploy.doctor import redis as doctor_redis
from deploy.doctor.finding import Level
from deploy.progress import Progress
from deploy.replay import ReplayPlan, Watcher, replay_on, run_replay
from deploy.security.granted import in_words, missing_rights
from deploy.security.render import KafkaRight, Names, clickhouse_statements, kafka_rights
from deploy.security.rights import RIGHTS, Process
from deploy.settings import Settings, load_settings
from deploy.stack.ports import free_port
from deploy.wiring import validator_of
from schemas.kafka_client import LOGIN, AdminClient
from schemas.ladder_file import load_ladder
from schemas.topics import load_topics
from sources.kafka_log import KafkaLog
from sources.producer import replay
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.source import Source
from tests.secured.brokers import redis_user
from tests.secured.gate import Asked
from tests.secured.world import World
from tests.servers import wait_until
from tests.workers import ROOT, Worker

PATIENCE_S = 400.0
"""Every connection costs a handshake and a login: on a busy machine they have been seen to take many times as long as those without."""
NAMES = Names(topic_prefix="secured.", group="secured", redis_prefix="secured", database="secured", redis=(7, 0))
GIVEN: dict[str, Any] = {"partitions": 2, "clock": "event", "intake": "strict", "sink_linger": 0.2}
DAY = SimulatorConfig(load_ladder("5r"), events=4_000, users=500, seed=11)
LINES = list(PromotionDay(DAY).lines())
FIRST, SECOND, THIRD = 3_000, 3_400, 3_700
FIGURES = ("events", "applied", "duplicates", "dead_letters", "transitions", "layers", "flows", "orders", "buyers", "gmv", "refunds")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("secured"), NAMES) as made:
        made.clickhouse_with(Process.INIT)
        init = made.start(Process.INIT, partitions=2)
        assert init.wait(PATIENCE_S) == 0, init.tail()
        made.clickhouse_with(None)
        yield made


@dataclass
class Running:
    """The processes, each with a user of its own, and where the war room is."""

    of: dict[Process, Worker]
    warroom: str

    def until_ready(self) -> None:
        for process, one in self.of.items():
            assert one.is_running, one.tail()
            wait_until(lambda one=one: one.get("/readyz")[0] == 200, f"{process} to be ready", PATIENCE_S)  # type: ignore[misc]

    def census(self) -> dict[str, int]:
        """Users per layer of all brands, as the war room shows them."""
        total = Counter[str]()
        for brand in fetched(f"{self.warroom}/brands")["brands"]:
            total.update(fetched(f"{self.warroom}/brands/{quote(brand)}/census")["layers"])
        return dict(total)


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return orjson.loads(answer.read())


@pytest.fixture(scope="module")
def running(world: World) -> Running:
    port = free_port()
    more: dict[Process, dict[str, Any]] = {Process.WARROOM: {"warroom_port": port}}
    names = (Process.WORKER, Process.SINK, Process.WARROOM, Process.ALERTS)
    return Running({one: world.start(one, **GIVEN, **more.get(one, {})) for one in names}, f"http://127.0.0.1:{port}/api/v1")


def operator(world: World) -> Settings:
    return world.settings(Process.OPERATOR, **GIVEN)


def bring_in(settings: Settings, lines: list[bytes]) -> None:
    """Further lines, until they are stored."""

    async def run() -> None:
        with (
            closing(Progress(settings)) as progress,
            KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=settings.kafka_options()) as log,
        ):
            done = await replay(lines, log, validator_of(settings), settings.partitions, pace=progress)
            await progress.wait(done.ends)
            await progress.settled()

    asyncio.run(run())


def rflow(world: World, *arguments: str, as_: Process = Process.OPERATOR) -> subprocess.CompletedProcess[str]:
    """A command, an operator's or another's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
    environment = {**inherited, **world.environment(world.given(as_), **GIVEN)}
    command = [sys.executable, "-m", "deploy", *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    world.written[f"rflow {' '.join(arguments)}"] = run.stdout + run.stderr
    return run


def refused_by_redis(world: World) -> set[str]:
    """What Redis has refused, and to whom, since it was asked last."""
    with redis.Redis.from_url(world.redis_door.address) as client:
        found = client.acl_log()
        client.acl_log_reset()
    return {f"{one['username']}: {one['object']}" for one in found}


def test_the_main_replay_gives_the_figures_that_it_gives_without_security(world: World, running: Running, tmp_path: Path) -> None:
    lines, watch = LINES[:FIRST], Watcher()
    outcome = asyncio.run(replay_on(Source("day", iter(lines)), ReplayPlan(data=tmp_path, broker="kafka"), operator(world), watch))
    assert (outcome.faults, outcome.differences) == ([], [])
    assert all(outcome.figures["checks"].values())
    plain = asyncio.run(run_replay(Source("day", iter(lines)), ReplayPlan(data=tmp_path / "plain"), load_settings(partitions=2), watch))
    assert {name: outcome.figures[name] for name in FIGURES} == {name: plain.figures[name] for name in FIGURES}
    assert outcome.figures["transitions"] > 500
    running.until_ready()
    assert running.census() == outcome.figures["layers"]
    assert refused_by_redis(world) == set()
    assert world.gate.refused == []


def test_passwords_change_under_running_processes_and_figures_go_on(world: World, running: Running) -> None:
    worker = world.settings(Process.WORKER)
    world.change_passwords([*running.of, Process.OPERATOR])
    bring_in(operator(world), LINES[FIRST:SECOND])
    running.until_ready()
    checked = rflow(world, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    standing = rflow(world, "census", "acme", "--json")
    assert standing.returncode == 0, standing.stderr
    # The old ones let nobody in any more: this is another password, not one more.
    old, errors = world.passwords["kafka", Process.WORKER][0], list[KafkaError]()
    login = {"sasl.username": worker.kafka_user, "sasl.password": old, "error_cb": errors.append, "log_level": 0}
    stale = AdminClient({name: value for name, value in worker.kafka_client().items() if name != LOGIN} | login)

    def is_refused() -> bool:
        stale.poll(0.1)
        return any(one.code() == KafkaError._AUTHENTICATION for one in errors)

    wait_until(is_refused, "the old password to be refused", PATIENCE_S)
    refused_by_redis(world)  # who connected in the moment between


def test_a_right_that_is_missing_is_named(world: World, running: Running) -> None:
    for process in (Process.WORKER, Process.SINK, Process.WARROOM, Process.ALERTS, Process.SUBSCRIBER):
        settings = world.double(process)
        admin = AdminClient(settings.kafka_client())
        for right in kafka_rights(RIGHTS[process], NAMES):
            with world.without(settings, process, right):
                told = until_told(lambda: missing_rights(admin, settings, process), [right])  # noqa: B023 - called at once
                assert in_words(told) == f"{right.operation} on {right.kind.lower()} {right.name}"
            until_told(lambda: missing_rights(admin, settings, process), [])  # noqa: B023 - called at once

    settings = world.settings(Process.WORKER, kafka_user="double-worker")
    with world.without(settings, Process.WORKER, KafkaRight("Topic", "secured.transitions", "Write")):
        ended = world.start(Process.WORKER, **GIVEN, kafka_user="double-worker")
        assert ended.wait(PATIENCE_S) == 1
    line = ended.tail().splitlines()[-1]
    assert "Kafka does not allow double-worker: Write on topic secured.transitions; `rflow rights worker` prints" in line

    # Redis names what it refuses; the step waits, nothing is lost, and goes on when it may.
    redis_user(world.redis_door.address, "rflow-worker", "-xadd")
    lines, log = LINES[SECOND:THIRD], running.of[Process.WORKER].log
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(bring_in, operator(world), lines)
        wait_until(lambda: "xadd" in log.read_text(), "the worker to name what it may not", PATIENCE_S)
        redis_user(world.redis_door.address, "rflow-worker", "+xadd")
        coming.result(PATIENCE_S)
    assert refused_by_redis(world) == {"rflow-worker: xadd"}
    assert rflow(world, "check").returncode == 0


def until_told(ask: Callable[[], list[KafkaRight]], expected: list[KafkaRight]) -> list[KafkaRight]:
    """Brokers hear of a change of rights a moment after the controller."""
    wait_until(lambda: ask() == expected, f"{expected} to be missing", PATIENCE_S)
    return expected


def test_workers_log_in_by_token_and_by_certificate(world: World, running: Running) -> None:
    assert running.of.pop(Process.WORKER).stop(PATIENCE_S) == 0
    given = [world.oauth(Process.WORKER), world.mutual(Process.WORKER)]
    pair = [world.start(Process.WORKER, given=one, **GIVEN) for one in given]
    wait_until(lambda: [len(one.running()) for one in pair] == [1, 1], "a shard for each", PATIENCE_S)
    bring_in(operator(world), LINES[THIRD:])
    assert rflow(world, "check").returncode == 0
    assert set(world.issuer.given) == {"rflow-worker"}
    for one in pair:
        world.written[f"metrics {one.port}"] = one.get("/metrics")[1].decode() + one.get("/healthz")[1].decode()
    assert [one.stop(PATIENCE_S) for one in pair] == [0, 0]


def test_the_doctor_knows_a_user_with_its_rights_from_a_superuser(world: World) -> None:
    found = {one["what"]: one for one in orjson.loads(rflow(world, "doctor", "--as", "operator", "--json").stdout)}
    assert {what for what, one in found.items() if one["level"] == "wrong"} == set()
    assert {what: found[what]["level"] for what in ("kafka superuser", "redis superuser")} == dict.fromkeys(
        ("kafka superuser", "redis superuser"), "good"
    )
    assert {found[f"{server} encryption"]["found"] for server in ("kafka", "redis", "clickhouse")} == {"TLS"}
    world.kafka.allow([world.binding(Process.OPERATOR, KafkaRight("Topic", f"secured.{name}", "All")) for name in load_topics()])
    redis_user(world.redis_door.address, "rflow-operator", "+@all ~*")
    settings = operator(world)
    until(lambda: [one.level for one in kafka.look(settings, Process.OPERATOR) if one.what == "kafka superuser"] == [Level.RISK])
    assert [one.level for one in doctor_redis.look(settings, Process.OPERATOR) if one.what == "redis superuser"] == [Level.RISK]


def until(holds: Callable[[], bool]) -> None:
    wait_until(holds, "what was changed to be seen", PATIENCE_S)


def test_every_process_asked_clickhouse_for_nothing_that_it_has_no_right_to(world: World, running: Running) -> None:
    """Each one's own statements, put to an engine whose only user has that one's rights; and others' that it has no right to."""
    for one in running.of.values():
        one.stop(PATIENCE_S)
    asked = {process: requests_of(world, process) for process in Process}
    assert min(len(asked[process]) for process in (Process.SINK, Process.WARROOM, Process.ALERTS, Process.OPERATOR)) > 2
    parsed = [line for process in Process for line in clickhouse_statements(process, NAMES)]
    for line in parsed:
        assert put(world, f"EXPLAIN AST {line}".encode())[0] == 200, line
    (insert,) = [one for one in asked[Process.SINK] if re.match(r"INSERT INTO \W*transitions", statement_of(one))][:1]
    (create,) = [one for one in asked[Process.INIT] if "CREATE TABLE IF NOT EXISTS migrations" in statement_of(one)][:1]
    for process, beyond in ((Process.SINK, create), (Process.WARROOM, insert), (Process.OPERATOR, insert)):
        world.clickhouse_with(process)
        alike = [Process.WARROOM, Process.ALERTS] if process is Process.WARROOM else [process]
        refused = [(statement_of(one), text) for of in alike for one in asked[of] if "497" in (text := put_again(world, one))]
        assert refused == []
        assert "necessary to have the grant" in put_again(world, beyond)


def requests_of(world: World, process: Process) -> list[Asked]:
    """One request for each statement that a process has sent."""
    found = {statement_of(one)[:400]: one for one in world.gate.requests if one.user == world.user(process)}
    return list(found.values())


def statement_of(asked: Asked) -> str:
    query = parse_qs(urlsplit(asked.path).query).get("query", [""])[0]
    return " ".join((query or asked.body[:2_000].decode(errors="replace")).split())


def put_again(world: World, asked: Asked) -> str:
    """What the engine says of a request; empty if it does what it is asked."""
    status, text = put(world, asked.body, asked.path, asked.headers)
    return "" if status == 200 else text


def put(world: World, body: bytes, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"{world.gate.behind}{path}", body, headers or {}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def test_users_are_dealt_to_more_shards_with_the_rights_for_it(world: World) -> None:
    run = rflow(world, "reshard", "4", as_=Process.RESHARD)
    assert run.returncode == 0, run.stdout + run.stderr
    assert refused_by_redis(world) == set()


def test_no_secret_is_written_anywhere(world: World) -> None:
    """Everything that any process has written above, debug output included, and what can be read of it in the list of processes."""
    rflow(world, "doctor", "--settings")
    rflow(world, "worker", "--help")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
    wrong = {**world.given(Process.OPERATOR), "kafka_user": "nobody", "redis_user": "nobody", "clickhouse_user": "nobody", **GIVEN}
    environment = {**inherited, **world.environment(wrong), "RFLOW_LOG_LEVEL": "debug"}
    for arguments in (["doctor", "--json"], ["census", "acme"]):
        command = [sys.executable, "-m", "deploy", *arguments]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode == 1
        world.written[f"wrong {arguments}"] = run.stdout + run.stderr
    assert world.written["wrong ['doctor', '--json']"].count("lets this user in") == 3
    secrets = [one for made in world.passwords.values() for one in made]
    assert len(secrets) >= 3 * len(Process)
    written = {**dict(world.logs()), **world.written, "ps": world.seen_in_ps}
    assert [name for name, text in written.items() if not text] == []
    assert "rflow" in written["ps"] or "deploy" in written["ps"]
    leaks = [(name, one.split("-")[1:3]) for name, text in written.items() for one in secrets if one in text]
    assert leaks == []
