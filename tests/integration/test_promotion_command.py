"""`rflow promotion` as operators use it, on real servers: what it prints, what it refuses, and what a kill leaves behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.cli import main
from schemas.promotion import Promotion
from schemas.rollup import NewUsers
from schemas.times import MINUTE_MS, to_rfc3339
from streams.crash import CrashPoint
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_world import Log, run_until_stored
from tests.integration.test_sales import FROM, MOVES, SALES, TO, at, order, rollup, transition
from tests.servers import wait_until
from tests.workers import ROOT

DATABASE = "promotion_command"
FILE = f"""
promotion_id: hour
brand: acme
name: 整点秒杀
window: {{from: "{to_rfc3339(FROM)}", to: "{to_rfc3339(TO)}"}}
phases:
  - {{phase: peak, from: "{to_rfc3339(FROM)}", to: "{to_rfc3339(TO)}"}}
target:
  owner: chen
  parts:
    - owner: li
      channel: wecom
      layers:
        - {{layer: R3, headcount: 10, conversion_rate: 0.5, order_value: 200}}
    - owner: li
      channel: tmall
      layers:
        - {{layer: R4, headcount: 2, conversion_rate: 0.5, order_value: 300}}
    - owner: wang
      channel: store
      layers:
        - {{layer: R3, headcount: 2, conversion_rate: 0.5, order_value: 200}}
"""


class Done(NamedTuple):
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def sold(mock_broker: str, clickhouse_url: str) -> str:
    """The hour that tests/integration/test_sales.py works out by hand, stored, every shard past it."""
    log = Log(mock_broker, "promotion-command.")
    for index, move in enumerate(MOVES):
        log.send("transitions", 0, transition(index, *move))
    people = [NewUsers(at(-60), "acme", 4), NewUsers(at(6), "acme", 1)]
    log.send("rollups", 0, rollup(0, TO + MINUTE_MS, len(MOVES), new_users=people, orders=[order(*one) for one in SALES]))
    log.flush()
    run_until_stored(config(mock_broker, log.prefix, clickhouse_url, DATABASE), {0: 1}, len(MOVES))
    return clickhouse_url


@pytest.fixture
def topic(mock_broker: str, topic_prefix: str) -> str:
    producer = Producer({"bootstrap.servers": mock_broker, "log_level": 0})
    name = f"{topic_prefix}promotions"
    wait_until(lambda: len(producer.list_topics(name, timeout=5).topics[name].partitions) == PARTITIONS, name)
    return name


@pytest.fixture
def run(
    mock_broker: str,
    topic: str,
    topic_prefix: str,
    redis_db_url: str,
    sold: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """`rflow promotion ...`, or another command, in this process."""
    settings = {
        "RFLOW_KAFKA_BOOTSTRAP": mock_broker,
        "RFLOW_TOPIC_PREFIX": topic_prefix,
        "RFLOW_REDIS_URL": redis_db_url,
        "RFLOW_CLICKHOUSE_URL": sold,
        "RFLOW_CLICKHOUSE_DATABASE": DATABASE,
        "COLUMNS": "250",
    }
    for name in [name for name in os.environ if name.startswith("RFLOW_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def rflow(*arguments: str, stdin: str = "", command: str = "promotion") -> Done:
        monkeypatch.setattr(sys, "argv", ["rflow", command, *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return rflow


def killed(*arguments: str, at: CrashPoint) -> bool:
    """Run a command as a process of its own that ends as by `kill -9` at a crash point; whether it did."""
    command = [sys.executable, "-m", "deploy", "promotion", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "RFLOW_CRASH_POINT": at.value}, capture_output=True, timeout=120)
    return done.returncode == -signal.SIGKILL


@pytest.fixture
def told(mock_broker: str, topic: str) -> Iterator[Callable[[], list[tuple[str, int]]]]:
    """What the topic holds so far."""
    consumer = Consumer({"bootstrap.servers": mock_broker, "group.id": topic, "log_level": 0})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    heard: list[Promotion] = []

    def read() -> list[tuple[str, int]]:
        heard.extend(msgspec.json.decode(one.value() or b"", type=Promotion) for one in consumer.consume(100, 0.2) if one.error() is None)
        return [(one.promotion_id, one.version) for one in heard]

    yield read
    consumer.close()


def ok(done: Done) -> str:
    assert done.status == 0, done.err
    return done.out


def test_an_operators_hour(run: Run, told: Callable[[], list[tuple[str, int]]], tmp_path: Path) -> None:
    file = tmp_path / "hour.yaml"
    file.write_text(FILE, encoding="utf-8")
    assert "hour: version 1 by chen" in ok(run("create", str(file), "--by", "chen"))

    found: dict[str, Any] = json.loads(ok(run("show", "hour", "--json")))
    assert (found["gmv"]["current"], found["gmv"]["actual"], found["gmv"]["projected"]["end"]) == (1_500, 650, 650)
    assert (found["orders"]["current"], found["orders"]["actual"], found["buyers"]["actual"]) == (7, 4, 3)
    cells = {cell["path"]: cell for cell in found["cells"]}
    assert (cells["wecom/R3"]["actual_orders"], cells["wecom/R3"]["actual_gmv"], cells["wecom/R3"]["actual_headcount"]) == (1, 100, 2)
    assert (cells["store/R3"]["actual_headcount"], cells["store/R3"]["actual_rate"], cells["store/R3"]["actual_gmv"]) == (1, 1.0, 200)
    assert (found["outside"], found["phase"]) == (50, None)
    assert found["sentence"]["zh"].startswith("比计划少 ¥8.50（计划 ¥15，实际 ¥6.50）：主要因为 企业微信 R3 人数 2（计划 10）")

    seen = ok(run("what-if", "hour", "--set", "wecom/R3/headcount=20"))
    assert "nothing is saved" in seen
    assert json.loads(ok(run("what-if", "hour", "--set", "wecom/R3/headcount=20", "--json")))["target_after"] == 2_500

    early = json.loads(ok(run("show", "hour", "--at", to_rfc3339(at(15)), "--json")))
    assert (early["share_due"], early["gmv"]["actual"], early["phase"]) == (0.25, 600, "peak")

    adjusted = run("adjust", "hour", "--set", "wecom/R3/headcount=5", "--because", "fewer came", "--by", "li", "--if-version", "1")
    assert "hour: version 2 by li" in ok(adjusted)
    late = run("adjust", "hour", "--set", "wecom/R3/headcount=9", "--because", "more came", "--by", "wang", "--if-version", "1")
    assert late.status == 1
    assert "expected version 1, found version 2, made by li" in late.err
    assert "'fewer came'" in late.err
    history = ok(run("history", "hour"))
    assert "fewer came" in history
    assert "more came" not in history
    assert [one["version"] for one in json.loads(ok(run("history", "hour", "--json")))] == [1, 2]
    assert [one["promotion_id"] for one in json.loads(ok(run("list", "--json")))] == ["hour"]
    wait_until(lambda: told() == [("hour", 1), ("hour", 2)], "both versions on the topic")

    table = ok(run("show", "hour"))
    assert "整点秒杀" in table
    assert "Original · current · actual" in table


def test_a_period_stands_beside_another(run: Run) -> None:
    hour = ("acme", "--from", to_rfc3339(FROM), "--to", to_rfc3339(TO))
    before = f"{to_rfc3339(FROM - 60 * MINUTE_MS)}..{to_rfc3339(FROM)}"
    found = json.loads(ok(run(*hour, "--against", before, "--json", command="star")))
    assert (found["against"], found["same_length"]) == ({"begins": FROM - 60 * MINUTE_MS, "ends": FROM}, True)
    total = next(line["figures"] for line in found["returning"] if line["of"]["layer"] == "")
    assert total["gmv"] == {"value": 650, "against": 0, "absolute": 650, "relative": None}
    scaling = {line["of"]["layer"]: line["figures"]["users"] for line in found["scaling"]}
    assert scaling["R4"] == {"value": 2, "against": 0, "absolute": 2, "relative": None}
    assert scaling["R3"] == {"value": 1, "against": 2, "absolute": -1, "relative": -0.5}
    shown = ok(run(*hour, "--against", before, command="star"))
    assert "against" in shown
    assert "-50.0%" in shown
    # a promotion's id stands for its window, no further than the period has come
    ok(run("create", "-", "--by", "chen", stdin=FILE))
    half = run("acme", "--from", to_rfc3339(FROM), "--to", to_rfc3339(at(30)), "--against", "hour", "--json", command="star")
    assert json.loads(ok(half))["against"] == {"begins": FROM, "ends": at(30)}
    refused = run(*hour, "--against", "nothing", command="star")
    assert (refused.status, "a promotion's id" in refused.err) == (1, True)


def test_a_plan_like_an_earlier_one(run: Run) -> None:
    ok(run("create", "-", "--by", "chen", stdin=FILE))
    later = FILE.replace("promotion_id: hour", "promotion_id: later")
    made = json.loads(ok(run("create", "-", "--plan-like", "hour", "--by", "chen", "--json", stdin=later)))
    plan = dict(made["promotion"]["plan"])
    assert (plan[0], plan[10], plan[60]) == (0, 0, 1)
    assert plan[11] == pytest.approx(300 / 650)
    assert plan[21] == 1


@pytest.mark.parametrize("point", [CrashPoint.PROMOTION_BEFORE_SAVE, CrashPoint.PROMOTION_SAVED, CrashPoint.PROMOTION_PUBLISHED])
def test_a_kill_loses_no_change_that_was_saved(
    run: Run, told: Callable[[], list[tuple[str, int]]], redis_db_url: str, point: CrashPoint
) -> None:
    ok(run("create", "-", "--by", "chen", stdin=FILE))
    change = ("adjust", "hour", "--set", "wecom/R3/headcount=5", "--because", "fewer came", "--by", "li")
    assert killed(*change, at=point)
    saved = point is not CrashPoint.PROMOTION_BEFORE_SAVE
    with redis.Redis.from_url(redis_db_url) as client:
        assert client.xlen("rflow:{promotions}:outbox") == int(saved)
    assert [one["version"] for one in json.loads(ok(run("history", "hour", "--json")))] == ([1, 2] if saved else [1])

    ok(run("adjust", "hour", "--set", "wecom/R3/headcount=6", "--because", "and again", "--by", "wang"))
    last = 3 if saved else 2
    wait_until(partial(lambda version: told()[-1:] == [("hour", version)], last), "the newest version to stand last")
    kept: list[int] = []
    for _, version in told():
        if not kept or version > kept[-1]:
            kept.append(version)
    assert kept == list(range(1, last + 1))
    with redis.Redis.from_url(redis_db_url) as client:
        assert client.xlen("rflow:{promotions}:outbox") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "d12"), "expected a promotion that exists (there is none yet), found 'd12'"),
        (("adjust", "d12", "--because", "x"), "expected either --set PATH=VALUE or --file FILE"),
        (("create", "missing.yaml"), "expected a readable file such as `rflow promotion template` prints"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.status == 1
    assert done.out == ""
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_the_template_can_be_created_as_it_is(run: Run) -> None:
    written = ok(run("template"))
    assert json.loads(ok(run("create", "-", "--json", "--by", "chen", stdin=written)))["published"] is True
