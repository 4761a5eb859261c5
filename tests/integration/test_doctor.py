"""`rflow init` shows its plan and can be repeated; `rflow doctor` finds each misconfiguration made here, and none on a sound deployment.

What one broker cannot be brought to (three copies, another version) is judged from its real answer with the one value changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclOperation,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from typer.testing import CliRunner

from deploy.cli.commands import app_of
from deploy.doctor import clickhouse, host, kafka, published, redis
from deploy.doctor.examine import examine
from deploy.doctor.finding import Finding, Level
from deploy.settings import Settings, load_settings
from schemas.topics import load_topics
from sinks.config import ClickHouse
from sinks.migrate import migrations
from streams.meta import Meta, encode_meta
from tests.integration.sink_world import query
from tests.servers import Servers

PREFIX, DATABASE, GROUP = "doctor.", "doctor", "doctor-workers"
SCRAM = {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"}
Looked = dict[str, Finding]
Rflow = Callable[..., Any]
"""The command: what it printed and its exit status."""


@pytest.fixture(scope="module")
def settings(kafka: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A deployment of two shards, of which nothing is there yet."""
    with Servers(tmp_path_factory.mktemp("doctor")) as servers:
        yield load_settings(
            kafka_bootstrap=kafka,
            topic_prefix=PREFIX,
            group=GROUP,
            partitions=2,
            redis_url=servers.redis().address,
            clickhouse_url=clickhouse_url,
            clickhouse_database=DATABASE,
        )


@pytest.fixture(scope="module")
def rflow(settings: Settings) -> Rflow:
    names = ("kafka_bootstrap", "topic_prefix", "group", "partitions", "clickhouse_database")
    environment = {f"RFLOW_{name.upper()}": str(getattr(settings, name)) for name in names}
    environment["RFLOW_REDIS_URL"] = settings.redis_url.get_secret_value()
    environment["RFLOW_CLICKHOUSE_URL"] = settings.clickhouse_url.get_secret_value()
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(app_of(), list(arguments))


@pytest.fixture(scope="module")
def made(settings: Settings, rflow: Rflow) -> dict[str, Any]:
    """What `rflow init` says that it did: the deployment is there from now on."""
    done = rflow("init", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return dict(json.loads(done.stdout))


def looked(look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Looked:
    return {finding.what: finding for finding in look(settings)}


def bad(found: Looked) -> dict[str, Level]:
    return {what: finding.level for what, finding in found.items() if not finding.good}


def test_init_shows_its_plan_does_it_and_can_be_repeated(settings: Settings, rflow: Rflow, request: Any) -> None:
    shown = rflow("init", "--dry-run", "--json")
    plan = json.loads(shown.stdout)
    assert {one["topic"]: (one["partitions"], one["replication"], one["config"]) for one in plan["topics_to_create"]} == {
        PREFIX + name: (2, 1, topic.config()) for name, topic in load_topics().items()
    }
    assert [one["migration"] for one in plan["migrations_to_apply"]] == [f"{one.number:04d}_{one.name}" for one in migrations()]
    assert "nothing has been done" in rflow("init", "--dry-run").stdout
    again = json.loads(rflow("init", "--dry-run", "--json").stdout)
    assert again == plan, "showing the plan did something"

    made = request.getfixturevalue("made")
    assert made["topics_created"] == [one["topic"] for one in plan["topics_to_create"]]
    assert made["migrations_applied"] == [one["migration"] for one in plan["migrations_to_apply"]]
    repeated = json.loads(rflow("init", "--json").stdout)
    assert (repeated["topics_created"], repeated["migrations_applied"]) == ([], [])
    after = json.loads(rflow("init", "--dry-run", "--json").stdout)
    assert (after["topics_to_create"], after["migrations_to_apply"]) == ([], [])


def test_a_sound_deployment_is_found_sound(rflow: Rflow, made: dict[str, Any]) -> None:
    told = rflow("doctor", "--json")
    found = json.loads(told.stdout)
    assert [one for one in found if one["level"] == "wrong"] == []
    # of a server that others share
    risks = {one["what"] for one in found if one["level"] == "risk"} - {"clickhouse time zone", "clickhouse disk default"}
    assert (told.exit_code, risks) == (0, set())
    assert len(found) > 60


def alter(settings: Settings, resources: dict[tuple[ResourceType, str], dict[str, str]]) -> None:
    admin = AdminClient(settings.kafka_client())
    asked = []
    for (kind, name), to in resources.items():
        entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in to.items()]
        asked.append(ConfigResource(kind, name, incremental_configs=entries))
    for future in admin.incremental_alter_configs(asked).values():
        future.result(20)


def test_topics_that_are_kept_otherwise_are_named(settings: Settings, made: dict[str, Any]) -> None:
    admin = AdminClient(settings.kafka_client())
    spoilt = {
        "touchpoints.order": {"cleanup.policy": "compact"},
        "promotions": {"cleanup.policy": "delete"},
        "transitions": {"retention.ms": "3600000"},
        "rollups": {"retention.bytes": "1000000000"},
        "deadletters": {"max.message.bytes": "1048588"},
        "touchpoints.exposure": {"message.timestamp.type": "CreateTime"},
    }
    alter(settings, {(ResourceType.TOPIC, PREFIX + name): to for name, to in spoilt.items()})
    alter(settings, {(ResourceType.BROKER, "1"): {"unclean.leader.election.enable": "true"}})
    for future in admin.delete_topics([PREFIX + "spend", PREFIX + "alerts"]).values():
        future.result(20)
    admin.create_topics([NewTopic(PREFIX + "alerts", 3, 1)])[PREFIX + "alerts"].result(20)
    producer = Producer(settings.kafka_client())
    producer.produce(PREFIX + "touchpoints.exposure", b"", partition=0, timestamp=int(time.time() * 1000) + 60_000)
    assert producer.flush(20) == 0
    _commit(settings, PREFIX.replace(".", "-other."))

    found = looked(kafka.look, settings)
    assert bad(found) == {
        "topic spend": Level.WRONG,
        "topic alerts": Level.WRONG,
        "topic touchpoints.order cleanup.policy": Level.WRONG,
        "topic promotions cleanup.policy": Level.WRONG,
        "topic alerts message.timestamp.type": Level.RISK,  # made anew, without its settings
        "topic transitions retention": Level.RISK,
        "topic rollups retention.bytes": Level.RISK,
        "topic deadletters max.message.bytes": Level.WRONG,
        "topic touchpoints.exposure message.timestamp.type": Level.RISK,
        "kafka unclean.leader.election.enable": Level.WRONG,
        "kafka group": Level.WRONG,
        "kafka clock": Level.RISK,
    }
    assert found["topic alerts"].found == "3 partitions"
    assert all(finding.advice for finding in found.values() if not finding.good)
    alter(settings, {(ResourceType.BROKER, "1"): {"unclean.leader.election.enable": "false"}})


def _commit(settings: Settings, topic: str) -> None:
    admin = AdminClient(settings.kafka_client())
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    consumer = Consumer({**settings.kafka_client(), "group.id": GROUP})
    consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    consumer.close()


def test_what_one_broker_cannot_be_brought_to_is_judged_from_its_answer(settings: Settings, made: dict[str, Any]) -> None:
    admin = AdminClient(settings.kafka_client())
    resources = [ConfigResource(ResourceType.TOPIC, PREFIX + "rollups"), ConfigResource(ResourceType.BROKER, "1")]
    topic, broker = (
        {name: str(entry.value) for name, entry in answer.result(20).items()} for answer in admin.describe_configs(resources).values()
    )
    rollups = load_topics()["rollups"]

    def insync(least: int, copies: int) -> Level:
        judged = {f.what: f for f in kafka.kept("rollups", rollups, {**topic, "min.insync.replicas": str(least)}, copies)}
        return judged["topic rollups min.insync.replicas"].level

    assert [insync(*case) for case in ((1, 3), (2, 3), (3, 3), (4, 3))] == [Level.WRONG, Level.GOOD, Level.RISK, Level.WRONG]
    auto = {f.what: f for f in kafka.broker({**broker, "auto.create.topics.enable": "true"}, settings)}
    assert bad(auto) == {"kafka auto.create.topics.enable": Level.RISK}
    narrow = {f.what: f for f in kafka.broker({**broker, "group.min.session.timeout.ms": "30000"}, settings)}
    assert bad(narrow) == {"kafka session timeouts": Level.WRONG}
    assert kafka.replication("rollups", 1, 3, settings).level is Level.RISK
    assert kafka.replication("rollups", 1, 3, load_settings(replication=3)).level is Level.WRONG

    described = admin.describe_topics(TopicCollection([PREFIX + "rollups"]), include_authorized_operations=True)[PREFIX + "rollups"].result(
        20
    )
    assert kafka.rights("rollups", described).good
    described.authorized_operations = [AclOperation.READ, AclOperation.DESCRIBE]
    assert kafka.rights("rollups", described).found == "may not write"


def test_a_redis_that_forgets_or_refuses_is_named(settings: Settings) -> None:
    url = settings.redis_url.get_secret_value()
    with redis_client.Redis.from_url(url) as client:
        assert bad(looked(redis.look, settings)) == {}
        spoilt = {"appendfsync": "everysec", "no-appendfsync-on-rewrite": "yes", "maxmemory-policy": "allkeys-lru", "appendonly": "no"}
        for name, value in spoilt.items():
            client.config_set(name, value)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        assert bad(looked(redis.look, settings)) == {f"redis {name}": Level.WRONG for name in spoilt} | {"redis memory": Level.RISK}
        sound = {"appendfsync": "always", "no-appendfsync-on-rewrite": "no", "maxmemory-policy": "noeviction", "appendonly": "yes"}
        for name, value in {"maxmemory": "0", **sound}.items():
            client.config_set(name, value)

        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+ping", "+info", "+config", "+time", "+acl")
        reader = settings.model_copy(update={"redis_url": type(settings.redis_url)(url.replace("//", "//reader:secret@"))})
        rights = looked(redis.look, reader)["redis rights"]
        assert (rights.level, "XADD" in rights.found, "WATCH" in rights.found) == (Level.WRONG, True, True)
        client.execute_command("ACL", "SETUSER", "root", "on", ">secret", "~*", "+@all")
        root = settings.model_copy(update={"redis_user": "root", "redis_password": type(settings.redis_url)("secret")})
        assert bad(looked(redis.look, root)) == {"redis superuser": Level.RISK}

        meta = "rflow:{0}:meta"
        for state, what in (
            (Meta(version=1, ladder="aipl@1", partitions=2), "redis ladder"),
            (Meta(version=1, ladder="5r@1", partitions=8), "redis partitions"),
        ):
            client.hset(meta, mapping=encode_meta(state))
            assert bad(looked(redis.look, settings)) == {what: Level.WRONG}
        client.hset(meta, "version", "torn")
        assert bad(looked(redis.look, settings)) == {"redis state": Level.WRONG}
        client.flushall()
        old = {f.what: f for f in redis.server({**client.info(), "redis_version": "6.2.7", "aof_last_write_status": "err"})}
    assert bad(old) == {"redis version": Level.WRONG, "redis disk": Level.WRONG}
    assert redis.clock([0.2, -4.0]).level is Level.RISK
    gone = settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1/0")})
    assert bad(looked(redis.look, gone)) == {"redis": Level.WRONG}


def test_who_lets_everybody_do_all_is_named_beyond_this_machine(
    settings: Settings, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 is this machine by an address that others may reach; the engine's endpoint does not answer there, so it is called away."""
    url = type(settings.redis_url)(settings.redis_url.get_secret_value().replace("127.0.0.1", "0.0.0.0"))
    far = settings.model_copy(update={"kafka_bootstrap": settings.kafka_bootstrap.replace("127.0.0.1", "0.0.0.0"), "redis_url": url})
    assert bad(looked(host.look, far)) == {
        f"{server} {what}": Level.RISK for server in ("kafka", "redis") for what in ("login", "encryption")
    }
    for server, look in (("kafka", kafka.look), ("redis", redis.look), ("clickhouse", clickhouse.look)):
        assert f"{server} superuser" not in looked(look, settings)
        if server == "clickhouse":
            monkeypatch.setattr(clickhouse, "beyond", lambda *_: ["clickhouse.example.com"])
        assert looked(look, far)[f"{server} superuser"].level is Level.RISK


def test_a_clickhouse_that_would_double_or_lose_rows_is_named(settings: Settings, made: dict[str, Any]) -> None:
    config = ClickHouse(url=settings.clickhouse_url.get_secret_value(), database=DATABASE)
    shared = {"clickhouse time zone", "clickhouse disk default"}
    assert bad(looked(clickhouse.look, settings)).keys() <= shared
    query(config, "ALTER TABLE flow_minutes MODIFY SETTING non_replicated_deduplication_window = 0")
    query(config, "ALTER TABLE orders MODIFY SETTING fsync_after_insert = 0")
    query(config, "INSERT INTO shards (shard, version) VALUES (1, 7)")
    found = looked(clickhouse.look, settings)
    assert {what: level for what, level in bad(found).items() if what not in shared} == {
        "clickhouse deduplication": Level.WRONG,
        "clickhouse fsync": Level.RISK,
        "redis and clickhouse": Level.WRONG,
    }
    assert "flow_minutes" in found["clickhouse deduplication"].found
    assert "orders" in found["clickhouse fsync"].found
    three = settings.model_copy(update={"partitions": 3})
    assert bad(looked(clickhouse.look, three))["clickhouse shards"] is Level.WRONG
    empty = settings.model_copy(update={"clickhouse_database": "doctor_none"})
    assert bad(looked(clickhouse.look, empty))["clickhouse tables"] is Level.WRONG
    query(config, "INSERT INTO migrations (number, name, checksum) VALUES (99, 'to_come', '')")
    assert "newer program" in looked(clickhouse.look, settings)["clickhouse"].found
    gone = settings.model_copy(update={"clickhouse_url": type(settings.clickhouse_url)("http://127.0.0.1:1")})
    assert bad(looked(clickhouse.look, gone)) == {"clickhouse": Level.WRONG}

    profile = {str(name): str(value) for name, value in query(config, "SELECT name, value FROM system.settings")}
    assert all(finding.good for finding in clickhouse.profile(profile))
    for name, value in (("async_insert", "1"), ("insert_deduplicate", "0"), ("readonly", "1")):
        spoilt = {f.what: f for f in clickhouse.profile({**profile, name: value})}
        assert bad(spoilt) == {f"clickhouse {name}": Level.WRONG}
    disks = query(config, "SELECT name, free_space, total_space FROM system.disks")
    assert {finding.level for finding in clickhouse.disks(disks, least=1.1)} == {Level.RISK}
    ((version, zone),) = query(config, "SELECT version(), 'Asia/Shanghai'")
    assert clickhouse.version(version).good
    assert not clickhouse.version("23.8.16.16").good
    assert clickhouse.timezone(zone).level is Level.RISK


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ladder": "/nowhere/ladder.yaml"}, {"ladder": Level.WRONG}),
        ({"kafka_bootstrap": "127.0.0.1:9092,kafka-2.example.com:9092"}, {"kafka encryption": Level.RISK, "kafka login": Level.RISK}),
        ({"kafka_bootstrap": "kafka.example.com:9092", "kafka": {"security.protocol": "ssl"}}, {"kafka login": Level.RISK}),
        ({"kafka_bootstrap": "kafka.example.com:9092", "kafka": SCRAM, "kafka_user": "rflow", "kafka_password": "secret"}, {}),
        ({"redis_url": "redis://:secret@redis.example.com/0"}, {"redis encryption": Level.RISK}),
        ({"redis_url": "rediss://redis.example.com/0"}, {"redis login": Level.RISK}),
        ({"redis_url": "rediss://redis.example.com/0", "redis_password": "secret"}, {}),
        ({"redis_url": "unix:///run/redis.sock"}, {}),
        ({"clickhouse_url": "http://rflow:secret@ch.example.com:8123"}, {"clickhouse encryption": Level.RISK}),
        ({"clickhouse_url": "https://ch.example.com", "clickhouse_user": "default"}, {"clickhouse login": Level.RISK}),
        ({"clickhouse_url": "https://ch.example.com", "clickhouse_user": "rflow", "clickhouse_password": "secret"}, {}),
        ({"kafka": {"enable.idempotence": "false", "acks": 1}}, {"kafka options": Level.WRONG}),
        ({"session_timeout": 120}, {"session timeout": Level.RISK}),
        ({"kafka": {"enable.ssl.certificate.verification": False, "security.protocol": "ssl"}}, {"kafka certificate": Level.RISK}),
        ({"kafka": {"ssl.endpoint.identification.algorithm": "none"}}, {"kafka certificate": Level.RISK}),
        ({"redis_url": "rediss://:secret@redis.example.com/0?ssl_cert_reqs=none"}, {"redis certificate": Level.RISK}),
        (
            {"clickhouse_url": "https://rflow:secret@ch.example.com", "clickhouse": {"verify": False}},
            {"clickhouse certificate": Level.RISK},
        ),
        (
            {
                "kafka": {
                    "security.protocol": "sasl_ssl",
                    "sasl.mechanism": "OAUTHBEARER",
                    "sasl.oauthbearer.token.endpoint.url": "http://login.example.com/token",
                },
                "kafka_user": "rflow",
                "kafka_password": "secret",
            },
            {"kafka tokens encryption": Level.RISK},
        ),
    ],
)
def test_what_needs_no_server_is_seen_without_one(given: dict[str, Any], expected: dict[str, Level]) -> None:
    assert bad(looked(host.look, load_settings(**given))) == expected


def test_a_file_with_secrets_is_to_be_the_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    assert bad(looked(host.look, load_settings(warroom_accounts=str(file)))) == {"warroom_accounts": Level.WRONG}
    file.write_text("{}")
    for mode, expected in ((0o644, {"warroom_accounts": Level.RISK}), (0o600, {})):
        file.chmod(mode)
        assert bad(looked(host.look, load_settings(warroom_accounts=str(file)))) == expected


def test_a_password_that_others_may_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "redis"
    file.write_text("secret")
    for mode, expected in ((0o640, {"redis_password_file": Level.RISK}), (0o400, {})):
        file.chmod(mode)
        assert bad(looked(host.look, load_settings(redis_password_file=str(file)))) == expected


def test_what_two_servers_have_in_common_is_not_asked_where_one_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def finds(what: str, level: Level) -> Callable[..., Iterator[Finding]]:
        def look(*_: Any, **__: Any) -> Iterator[Finding]:
            asked.append(what)
            yield Finding(what, level, "so")

        return look

    for level, both in ((Level.GOOD, 1), (Level.WRONG, 0)):
        asked.clear()
        for module, what in ((kafka, "kafka"), (redis, "redis"), (clickhouse, "clickhouse"), (published, "kafka and redis")):
            monkeypatch.setattr(module, "look", finds(what, level if what == "kafka" else Level.GOOD))
        examine(load_settings())
        assert (asked.count("redis"), asked.count("clickhouse"), asked.count("kafka and redis")) == (1, 1, both)


def test_the_exit_status_tells_wrong_from_risky(rflow: Rflow, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    risk = Finding("a", Level.RISK, "so", "do that")
    monkeypatch.setattr("deploy.cli.operate.examine", lambda settings, process: [Finding("b", Level.GOOD, "fine"), risk])
    assert (rflow("doctor").exit_code, rflow("doctor", "--strict").exit_code) == (0, 1)
    monkeypatch.setattr("deploy.cli.operate.examine", lambda settings, process: [Finding("c", Level.WRONG, "so", "do that")])
    assert rflow("doctor").exit_code == 1
    assert json.loads(rflow("doctor", "--json").stdout) == [
        {"what": "c", "good": False, "level": "wrong", "found": "so", "advice": "do that"}
    ]
