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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException
from redis.exceptions import NoPermissionError
from typer.testing import Result

from deploy.doctor import kafka
from deploy.doctor import redis as doctor_redis
from deploy.doctor.finding import Level
from deploy.replay import ReplayPlan, Watcher, replay_on, run_replay
from deploy.security.granted import in_words, missing_rights
from deploy.security.render import KafkaRight, clickhouse_statements, kafka_rights
from deploy.security.rights import RIGHTS, Process
from deploy.settings import Settings, load_settings
from deploy.wiring import redis_of
from schemas.kafka_client import LOGIN, AdminClient
from schemas.subscriber import SubscriberRule
from schemas.topics import load_topics
from sources.errors import DeliveryFailed
from sources.source import Source
from tests.restoring import back_up_redis, restore_redis
from tests.secured.brokers import redis_user
from tests.secured.gate import Asked
from tests.secured.running import (
    CLUSTERED,
    GIVEN,
    LINES,
    NAMES,
    PATIENCE_S,
    Running,
    applied,
    bring_in,
    cluster_state,
    is_applied,
    started,
    versions,
    written,
)
from tests.secured.uses import USES, NotTaken, alert_of, keep_the_alerts_book
from tests.secured.world import World
from tests.servers import wait_until
from tests.workers import ROOT
from warroom.alerts.book import opened
from warroom.alerts.engine import BrandState
from warroom.alerts.topic import AlertTopic

FIRST, COLLECTED, SECOND, THIRD = 3_000, 3_200, 3_400, 3_700
SIMULATED = ("--events", "200", "--users", "30", "--seed", "4", "--brand", "harbour", "--hours", "2", "--clean")
"""Of a brand of its own, and of a time that the others have left behind."""
CHECKED: tuple[Process, ...] = tuple(one for one in Process if one not in (Process.INIT, Process.OPERATOR))
"""Processes that ask at their start whether they have their rights."""
FIGURES = ("events", "applied", "duplicates", "dead_letters", "transitions", "layers", "flows", "orders", "buyers", "gmv", "refunds")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("secured"), NAMES) as made:
        made.clickhouse_with(Process.INIT)
        init = made.start(Process.INIT, partitions=2)
        assert init.wait(PATIENCE_S) == 0, init.tail()
        made.clickhouse_with(None)
        yield made


@pytest.fixture(scope="module")
def running(world: World) -> Running:
    return started(world)


def operator(world: World) -> Settings:
    return world.settings(Process.OPERATOR, **GIVEN)


def rflow(world: World, *arguments: str, as_: Process = Process.OPERATOR) -> Result:
    """A command, an operator's or another's, that ends well."""
    done = world.rflow(*arguments, as_=as_, **GIVEN)
    assert done.exit_code == 0, (done.output, done.exception)
    return done


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
    assert world.refused_by_redis() == set()
    assert world.gate.refused == []


def test_passwords_change_under_running_processes_and_figures_go_on(world: World, running: Running) -> None:
    worker = world.settings(Process.WORKER)
    world.change_passwords([*running.of, Process.OPERATOR])
    collected = running.collect(LINES[FIRST:COLLECTED])
    assert len(collected) > 0.8 * (COLLECTED - FIRST)
    rflow(world, "simulate", "--produce", "--as-dated", *SIMULATED, as_=Process.SOURCE)
    simulated = {orjson.loads(line)["event_id"] for line in rflow(world, "simulate", "-", *SIMULATED).stdout.splitlines()}
    bring_in(operator(world), LINES[COLLECTED:SECOND])
    running.until_ready()
    rflow(world, "check")
    taken = applied(operator(world))
    assert [one for one in collected | simulated if taken[one] == 0] == []
    assert len(simulated) == 200
    # The old ones let nobody in any more: this is another password, not one more.
    old, errors = world.passwords["kafka", Process.WORKER][0], list[KafkaError]()
    login = {"sasl.username": worker.kafka_user, "sasl.password": old, "error_cb": errors.append, "log_level": 0}
    stale = AdminClient({name: value for name, value in worker.kafka_client().items() if name != LOGIN} | login)

    def is_refused() -> bool:
        stale.poll(0.1)
        return any(one.code() == KafkaError._AUTHENTICATION for one in errors)

    wait_until(is_refused, "the old password to be refused", PATIENCE_S)
    world.refused_by_redis()  # who connected in the moment between


def test_a_right_that_is_missing_is_named(world: World, running: Running) -> None:
    """Each one's rights are taken away one after the other, of all processes at the same time."""
    doubles = {process: world.double(process, **GIVEN) for process in CHECKED}
    admins = {process: AdminClient(settings.kafka_client()) for process, settings in doubles.items()}
    for process, use in USES.items():
        use(doubles[process])
    for rights in zip_longest(*(list(kafka_rights(RIGHTS[process], NAMES)) for process in CHECKED)):
        taken = {process: right for process, right in zip(CHECKED, rights, strict=True) if right is not None}
        with ExitStack() as away:
            for process, right in taken.items():
                away.enter_context(world.without(doubles[process], process, right))
            for process, right in taken.items():
                told = until_told(lambda: missing_rights(admins[process], doubles[process], process), [right])  # noqa: B023 - called at once
                assert in_words(told) == f"{right.operation} on {right.kind.lower()} {right.name}"
                if process in USES:
                    with pytest.raises((NotTaken, DeliveryFailed, KafkaException)):
                        USES[process](doubles[process])
    for process, admin in admins.items():
        until_told(lambda: missing_rights(admin, doubles[process], process), [])  # noqa: B023 - called at once

    settings = world.settings(Process.WORKER, kafka_user="double-worker")
    with world.without(settings, Process.WORKER, KafkaRight("Topic", "secured.transitions", "Write")):
        ended = world.start(Process.WORKER, **GIVEN, kafka_user="double-worker")
        assert ended.wait(PATIENCE_S) == 1
    line = ended.tail().splitlines()[-1]
    assert "Kafka does not allow double-worker: Write on topic secured.transitions; `rflow rights worker` prints" in line

    # Redis names what it refuses; the step waits, nothing is lost, and goes on when it may.
    redis_user(world.redis_nodes[0].address, "rflow-worker", "-xadd")
    lines, log = LINES[SECOND:THIRD], running.of[Process.WORKER].log
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(bring_in, operator(world), lines)
        wait_until(lambda: "xadd" in log.read_text(), "the worker to name what it may not", PATIENCE_S)
        redis_user(world.redis_nodes[0].address, "rflow-worker", "+xadd")
        coming.result(PATIENCE_S)
    assert world.refused_by_redis() == {"rflow-worker: xadd"}
    rflow(world, "check")


def until_told(ask: Callable[[], list[KafkaRight]], expected: list[KafkaRight]) -> list[KafkaRight]:
    """Brokers hear of a change of rights a moment after the controller."""
    wait_until(lambda: ask() == expected, f"{expected} to be missing", PATIENCE_S)
    return expected


def test_an_operator_has_the_rights_for_every_command_of_theirs(world: World, running: Running) -> None:
    def told(*arguments: str) -> Any:
        return orjson.loads(rflow(world, *arguments, "--json").stdout)

    template = world.folder / "promotion.yaml"
    template.write_text(rflow(world, "promotion", "template").stdout.replace("2026-", "2025-"))
    rflow(world, "promotion", "create", str(template), "--because", "first plan", "--by", "chen")
    rflow(
        world, "promotion", "adjust", "acme-d11-2026", "--set", "tmall/R3/conversion_rate=6%", "--because", "it goes well", "--by", "chen"
    )
    assert [one["version"] for one in told("promotion", "history", "acme-d11-2026")] == [1, 2]
    assert told("promotion", "show", "acme-d11-2026")
    assert "Double 11" in rflow(world, "report", "acme-d11-2026", "--output", "-").stdout

    first, second, *_ = told("dlq", "list")["letters"]
    assert told("dlq", "show", first["id"])["reason"] == first["reason"]
    rflow(world, "dlq", "replay", first["id"], "--force", "--yes", "--wait", "0")
    rflow(world, "dlq", "purge", second["id"], "--yes")
    assert second["id"] not in {one["id"] for one in told("dlq", "list")["letters"]}

    snapshot = world.folder / "snapshot.jsonl"
    rflow(world, "snapshot", str(snapshot))
    someone = next(one for one in map(orjson.loads, snapshot.read_bytes().splitlines()) if one.get("brand") == "acme")
    assert told("user", "acme", someone["user_id"])["layer"] == someone["layer"]
    period = ("--from", "2025-11-10", "--to", "2025-11-12")
    assert told("star", "acme", *period, "--against", "2025-11-08")
    assert told("alerts", "test", "--against", "2025-11-10 22:00..2025-11-10 22:20", "--brand", "acme")
    assert rflow(world, "tail", "promotions", "--beginning", "--limit", "2").stdout.count("acme-d11-2026") >= 2
    rflow(world, "census", "acme")
    assert world.refused_by_redis() == set()


def test_the_alerts_book_is_kept_by_those_who_may(world: World, running: Running) -> None:
    with opened(redis_of(world.settings(Process.ALERTS, **GIVEN))) as book:
        assert book.save(0, BrandState(brand="told"), [alert_of("told")])
        until(lambda: book.unread(AlertTopic.name, 1) == [])  # the process has told it, and noted so
    assert running.of.pop(Process.ALERTS).stop(PATIENCE_S) == 0
    keep_the_alerts_book(world, **GIVEN)
    assert world.refused_by_redis() == set()
    with opened(redis_of(world.settings(Process.WARROOM, **GIVEN))) as taking, pytest.raises(NoPermissionError):
        taking.withheld("robot")
    assert world.refused_by_redis() == {"rflow-warroom: smembers"}


def test_workers_log_in_by_token_and_by_certificate(world: World, running: Running) -> None:
    assert running.of.pop(Process.WORKER).stop(PATIENCE_S) == 0
    given = [world.oauth(Process.WORKER), world.mutual(Process.WORKER)]
    pair = [world.start(Process.WORKER, given=one, **GIVEN) for one in given]
    wait_until(lambda: [len(one.running()) for one in pair] == [1, 1], "a shard for each", PATIENCE_S)
    bring_in(operator(world), LINES[THIRD:])
    rflow(world, "check")
    assert set(world.issuer.given) == {"rflow-worker"}
    for one in pair:
        world.written[f"metrics {one.port}"] = one.get("/metrics")[1].decode() + one.get("/healthz")[1].decode()
    assert [one.stop(PATIENCE_S) for one in pair] == [0, 0]


def test_the_subscriber_was_told_every_transition_once(world: World, running: Running) -> None:
    rule, told = SubscriberRule(), list[str]()
    for line in rflow(world, "tail", "transitions", "--beginning", "--seconds", "1").stdout.splitlines():
        one = orjson.loads(line)["value"]
        told += [one["id"]] if rule.is_new(one["shard"], one["version"], one["index"]) else []
    until(lambda: len(running.told()) >= len(told))
    assert sorted(running.told()) == sorted(told)
    assert len(told) == len(set(told)) > 500


def test_a_redis_cluster_is_lost_and_restored_with_the_rights_for_it(world: World, tmp_path: Path) -> None:
    """State in a cluster that speaks TLS; its masters' disks are lost and come back from backups, of a moment before what was told last."""
    given = {**GIVEN, "partitions": 4}
    with World(tmp_path, CLUSTERED, beside=world) as lost:
        assert lost.rflow("init", as_=Process.INIT, **given).exit_code == 0
        settings = lost.settings(Process.OPERATOR, **given)
        worker, sink = (lost.start(one, **given) for one in (Process.WORKER, Process.SINK))
        bring_in(settings, LINES[:1_000])
        keep_the_alerts_book(lost, **given)
        assert sink.stop(PATIENCE_S) == 0
        for number, node in enumerate(lost.redis_nodes):
            back_up_redis(node, tmp_path / f"backup-{number}")
        backed_up = versions(settings)
        ends = asyncio.run(written(settings, LINES[1_000:1_500]))
        until(lambda: is_applied(settings, ends))
        assert worker.stop(PATIENCE_S) == 0
        told = versions(settings)
        for number, node in enumerate(lost.redis_nodes):
            node.kill()
            restore_redis(node, tmp_path / f"backup-{number}")
        until(lambda: set(lost.redis_doors(cluster_state)) == {"ok"})
        lost.make_redis_users()
        done = lost.rflow("restored", "--json", as_=Process.RESTORED, **given)
        assert done.exit_code == 0, (done.output, done.exception)
        found = orjson.loads(done.stdout)
        assert [(one["redis"], one["published"]) for one in found["shards"]] == list(zip(backed_up, told, strict=True))
        assert found["forgotten"] == sum(told) - sum(backed_up) > 0
        again = [lost.start(one, **given) for one in (Process.WORKER, Process.SINK)]
        bring_in(settings, LINES[1_500:2_000])
        checked = lost.rflow("check", **given)
        assert checked.exit_code == 0, checked.output
        assert lost.rflow("census", "acme", **given).exit_code == 0
        assert lost.refused_by_redis() == set()
        assert all(lost.redis_doors(lambda door: door.keys("clustered:{[0-9]*}:meta"))), "a master without a shard"
        assert [one.stop(PATIENCE_S) for one in again] == [0, 0]


def test_the_doctor_knows_a_user_with_its_rights_from_a_superuser(world: World) -> None:
    found = {one["what"]: one for one in orjson.loads(rflow(world, "doctor", "--as", "operator", "--json").stdout)}
    assert {what for what, one in found.items() if one["level"] == "wrong"} == set()
    assert {what: found[what]["level"] for what in ("kafka superuser", "redis superuser")} == dict.fromkeys(
        ("kafka superuser", "redis superuser"), "good"
    )
    assert {found[f"{server} encryption"]["found"] for server in ("kafka", "redis", "clickhouse")} == {"TLS"}
    world.kafka.allow([world.binding(Process.OPERATOR, KafkaRight("Topic", f"secured.{name}", "All")) for name in load_topics()])
    redis_user(world.redis_nodes[0].address, "rflow-operator", "+@all ~*")
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
    assert min(len(asked[process]) for process in (Process.SINK, Process.RESTORED, Process.WARROOM, Process.ALERTS, Process.OPERATOR)) > 2
    parsed = [line for process in Process for line in clickhouse_statements(process, NAMES)]
    for line in parsed:
        assert put(world, f"EXPLAIN AST {line}".encode())[0] == 200, line
    (insert,) = [one for one in asked[Process.SINK] if re.match(r"INSERT INTO \W*transitions", statement_of(one))][:1]
    (create,) = [one for one in asked[Process.INIT] if "CREATE TABLE IF NOT EXISTS migrations" in statement_of(one)][:1]
    for process, as_well, beyond in (
        (Process.SINK, Process.RESTORED, create),
        (Process.WARROOM, Process.ALERTS, insert),
        (Process.OPERATOR, Process.OPERATOR, insert),
    ):
        alike = {process, as_well}
        assert len({(RIGHTS[one].clickhouse, RIGHTS[one].system) for one in alike}) == 1
        world.clickhouse_with(process, CLUSTERED)
        assert put(world, b"CHECK GRANT DROP DATABASE ON *.*") == (200, "0\n"), "the doctor would call it a superuser"
        refused = [(statement_of(one), text) for of in alike for one in asked[of] if "497" in (text := put_again(world, one))]
        assert refused == []
        assert "necessary to have the grant" in put_again(world, beyond)


def requests_of(world: World, process: Process) -> list[Asked]:
    """One request for each statement that a process has sent."""
    users = {f"{names.user}{process}" for names in (NAMES, CLUSTERED)}
    found = {statement_of(one)[:400]: one for one in world.gate.requests if one.user in users}
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
    rflow(world, "reshard", "4", as_=Process.RESHARD)
    assert world.refused_by_redis() == set()


def test_no_secret_is_written_anywhere(world: World) -> None:
    """Everything that any process has written above, debug output included, and what can be read of it in the list of processes."""
    world.rflow("doctor", "--settings", **GIVEN)
    world.rflow("worker", "--help", **GIVEN)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
    wrong = {**world.given(Process.OPERATOR), "kafka_user": "nobody", "redis_user": "nobody", "clickhouse_user": "nobody", **GIVEN}
    environment = {**inherited, **world.environment(wrong), "RFLOW_LOG_LEVEL": "debug"}
    tried = (["doctor", "--json"], ["census", "acme"])

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)

    with ThreadPoolExecutor() as pool:
        for arguments, done in zip(tried, pool.map(run, tried), strict=True):
            assert done.returncode == 1
            world.written[f"wrong {arguments}"] = done.stdout + done.stderr
    assert [one for one in RIGHTS[Process.OPERATOR].run if not any(name.startswith(f"rflow {one}") for name in world.written)] == []
    assert world.ran | {Process.RESTORED} == set(Process), "somebody has not been run with the rights declared"
    assert world.written["wrong ['doctor', '--json']"].count("lets this user in") == 3
    secrets = [one for made in world.passwords.values() for one in made]
    assert len(secrets) >= 3 * len(Process)
    written = {**dict(world.logs()), **world.written, "ps": world.seen_in_ps}
    assert [name for name, text in written.items() if not text] == []
    assert "rflow" in written["ps"] or "deploy" in written["ps"]
    leaks = [(name, one.split("-")[1:3]) for name, text in written.items() for one in secrets if one in text]
    assert leaks == []
