"""`rflow replay` and `rflow check` as a user runs them, on files of every kind: figures equal those of the plain fold."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from deploy.check import StateReader
from deploy.running import settings_of_data
from deploy.settings import Settings, load_settings
from deploy.stack.errors import StackError
from schemas.deadletter import InvalidRecord
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.touchpoint import KINDS, Touchpoint
from schemas.validate import Validator
from sources.kafka_log import KafkaLog
from sources.route import route
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.plain import Outcome, PlainFold
from streams.state import decode_state, encode_state
from streams.store import ShardKeys
from tests.servers import wait_until
from tests.workers import ROOT

LADDER = load_ladder("5r")
CLEAN: dict[str, Any] = {"late": 0, "broken": 0, "retries": 0, "double_orders": 0, "text_times": 0}


def simulated(events: int, **given: Any) -> list[bytes]:
    """A promotion day's lines, three brands, one of them not ASCII."""
    return list(PromotionDay(SimulatorConfig(LADDER, events=events, **{"users": events // 8, "seed": 11, **given})).lines())


def with_flood(lines: list[bytes]) -> list[bytes]:
    """The lines, and at the time of the middle one, all in its minute, a thousand likes of one user and 650 views of another."""
    middle, at = next((i, at) for i in range(len(lines) // 2, len(lines)) if (at := time_of(lines[i])) is not None)
    flood = [touchpoint(n, at, "like", "bot", channel="douyin") for n in range(1000)]
    flood += [touchpoint(n, at, "content_view", "crawler") for n in range(650)]
    return [*lines[:middle], *flood, *lines[middle:]]


def time_of(line: bytes) -> int | None:
    """A line's time, None if it is not told in milliseconds."""
    try:
        at = orjson.loads(line)["occurred_at"]
    except (ValueError, KeyError, TypeError):
        return None
    return at if isinstance(at, int) and not isinstance(at, bool) else None


@dataclass
class Expected:
    """What the plain fold makes of a file."""

    figures: dict[str, Any]
    duplicates: int
    flows: dict[str, int]

    @classmethod
    def of(cls, lines: Sequence[bytes], brand: str | None = None) -> Expected:
        """The lines in their own order; at equal times as topics go, which only matters for flows."""
        judge = Validator(LADDER, lambda: time.time_ns() // 1_000_000)
        fold, letters, flows, outcomes = PlainFold(LADDER), Counter[str](), Counter[str](), Counter[Outcome]()
        records: list[tuple[int, int, Touchpoint]] = []
        last = 0
        for line in lines:
            kind = route(line).kind
            try:
                record = judge.validate(kind, line)
            except InvalidRecord as invalid:
                letters[invalid.reason.value] += 1
                continue
            if isinstance(record, Touchpoint):
                assert isinstance(record.occurred_at, int)
                last = max(last, record.occurred_at)
                records.append((last, KINDS.index(kind), record))
        for _, _, record in sorted(records, key=lambda r: r[:2]):
            outcome, transitions = fold.apply(record)
            outcomes[outcome] += 1
            flows.update(f"{t.from_}>{t.to}" for t in transitions)
        flows.update(f"{t.from_}>{t.to}" for t in fold.sweep())
        layers = dict.fromkeys((layer.id for layer in LADDER.layers), 0)
        for user in fold.users.values():
            layers[LADDER.layers[user.layer].id] += 1
        money = fold.figures()
        return cls(
            {
                "events": len(lines),
                "junk": outcomes[Outcome.JUNK],
                "dead_letters": dict(letters),
                "layers": layers,
                "orders": money.purchases,
                "buyers": money.buyers,
                "gmv": money.gmv,
                "refunds": money.refunds,
            },
            outcomes[Outcome.DUPLICATE],
            dict(flows),
        )

    def assert_holds(self, found: dict[str, Any], *, in_order: bool) -> None:
        """The figures that are fixed for any file; transitions, flows and duplicates too for one in order."""
        assert {name: found[name] for name in self.figures} == self.figures
        assert found["checks"]
        assert all(found["checks"].values()), found["checks"]
        assert found["applied"] == found["events"] - found["duplicates"] - found["junk"] - sum(found["dead_letters"].values())
        if in_order:
            assert found["duplicates"] == self.duplicates
            assert found["flows"] == self.flows
            assert found["transitions"] == sum(self.flows.values())


@dataclass
class Command:
    """`rflow` under way."""

    process: subprocess.Popen[bytes]
    settings: Settings | None = field(default=None)

    def end(self, seconds: float = 240.0) -> tuple[int, bytes, str]:
        """Exit status, standard output, standard error."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            out, err = self.process.communicate(timeout=30)
            raise AssertionError(f"rflow did not end in {seconds:g} s\n{err.decode()[-4000:]}") from None
        return self.process.returncode, out, err.decode()


@pytest.fixture
def rflow(tmp_path: Path) -> Iterable[Callable[..., Command]]:
    started: list[Command] = []

    def start(*arguments: str | Path) -> Command:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", *map(str, arguments)],
            cwd=ROOT,
            env=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(Command(process))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            command.process.send_signal(signal.SIGTERM)
            command.process.communicate(timeout=30)


def written(folder: Path, lines: Iterable[bytes]) -> Path:
    file = folder / "lines.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def figures_of(command: Command) -> dict[str, Any]:
    status, out, err = command.end()
    assert out, err
    found: dict[str, Any] = orjson.loads(out)
    assert status == 0, (found["checks"], err)
    return found


def test_a_file_in_order_gives_the_plain_folds_figures_flows_included(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = simulated(12_000, **CLEAN)
    found = figures_of(rflow("replay", written(tmp_path, lines), "--json"))
    Expected.of(lines).assert_holds(found, in_order=True)


def test_late_broken_repeated_lines_and_double_orders_leave_the_final_figures_as_they_are(
    rflow: Callable[..., Command], tmp_path: Path
) -> None:
    lines = with_flood(simulated(12_000, late=0.05, broken=0.02, retries=0.03, double_orders=0.05, text_times=0.1))
    expected = Expected.of(lines)
    assert expected.figures["junk"] == 450
    assert len(expected.figures["dead_letters"]) >= 5
    Expected.of(lines).assert_holds(figures_of(rflow("replay", written(tmp_path, lines), "--json")), in_order=False)


def touchpoint(n: int, at: int, type_: str, user: str, brand: str = "acme", **fields: Any) -> bytes:
    return orjson.dumps({"event_id": f"e{n}", "type": type_, "brand": brand, "user_id": user, "occurred_at": at, **fields})


DAY = 86_400_000
T0 = 1_735_700_000_000


def by_hand() -> list[bytes]:
    """A handful of records that all fit into one step, over more than a year: decays, refunds of all kinds, names of all kinds."""
    told: list[tuple[int, str, str, str, dict[str, Any]]] = [
        (0, "ad_exposure", "张伟", "山茶", {}),
        (0, "like", "张伟", "山茶", {}),
        (1, "purchase", "张伟", "山茶", {"order_id": "单1", "amount": 500}),
        (2, "refund", "early", "acme", {"order_id": "o1", "amount": 300}),
        (3, "purchase", "early", "acme", {"order_id": "o1", "amount": 200}),
        (4, "purchase", "part", "acme", {"order_id": "o1", "amount": 200}),
        (5, "refund", "part", "acme", {"order_id": "o1", "amount": 50}),
        (6, "refund", "part", "acme", {"order_id": "o1", "amount": 500}),
        (6, "refund", "part", "acme", {"order_id": "never bought", "amount": 500}),
        (7, "purchase", "free", "a:b%c", {"order_id": "o1", "amount": 0}),
        (8, "group_join", "free", "a:b%c", {"relation_id": "g1"}),
        (8, "group_leave", "free", "a:b%c", {"relation_id": "g1"}),
        (9, "ad_exposure", "u:1", "a:b%c", {"channel": "渠道"}),
        (9, "ad_exposure", "silent", "acme", {}),
        (10, "content_view", "silent", "zeta", {}),
        (120, "ad_exposure", "other", "acme", {}),
        (400, "search", "other", "acme", {}),
        (401, "search", "🛒", "🛍", {}),
    ]
    return [touchpoint(n, T0 + day * DAY, type_, user, brand, **fields) for n, (day, type_, user, brand, fields) in enumerate(told)]


def test_a_year_in_one_step_lapses_as_a_year_of_steps_does(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = by_hand()
    expected = Expected.of(lines)
    assert expected.flows["R1>R0"] == 4
    expected.assert_holds(figures_of(rflow("replay", written(tmp_path, lines), "--json")), in_order=True)


def test_records_in_no_order_at_all_end_the_same(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = [*reversed(by_hand()), *by_hand()[:9], b"{", b"null", b'{"type":"tick"}', b'{"type":"tick","occurred_at":5}']
    expected = Expected.of(lines[:-1])  # a good tick in a file moves its slice and is no event
    expected.assert_holds(figures_of(rflow("replay", written(tmp_path, lines), "--json")), in_order=False)


def test_one_brand_leaves_the_others_out(rflow: Callable[..., Command], tmp_path: Path) -> None:
    found = figures_of(rflow("replay", written(tmp_path, by_hand()), "--json", "--brand", "a:b%c"))
    Expected.of([line for line in by_hand() if b'"a:b%c"' in line]).assert_holds(found, in_order=True)


def test_a_worker_killed_half_way_changes_no_figure(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = with_flood(simulated(30_000, **CLEAN))
    data = tmp_path / "data"
    command = rflow("replay", written(tmp_path, lines), "--json", "--workers", "2", "--data", data)
    settings = running(command, data)
    with closing(StateReader(settings)) as states:

        def applied() -> int:
            return sum(sum(offset + 1 for offset in states.meta(shard).offsets) for shard in range(settings.partitions))

        wait_until(lambda: applied() > len(lines) / 2 or command.process.poll() is not None, "half of the records to be applied", 120)
    assert command.process.poll() is None
    os.kill(int((data / "run" / "worker-1.pid").read_text()), signal.SIGKILL)
    Expected.of(lines).assert_holds(figures_of(command), in_order=True)


def running(command: Command, data: Path) -> Settings:
    """The settings of the stack on a folder, once it is up."""
    found: list[Settings] = []

    def answers() -> bool:
        assert command.process.poll() is None, command.end()[2]
        try:
            settings = settings_of_data(str(data), load_settings())
            with closing(StateReader(settings)) as states:
                states.ping()
        except (StackError, redis.RedisError, OSError):
            return False
        found.append(settings)
        return (data / "run" / "worker-1.pid").exists()

    wait_until(answers, "the stack to be up", 90)
    return found[-1]


async def produced(settings: Settings, lines: Iterable[bytes]) -> None:
    with KafkaLog(settings.kafka_bootstrap) as log:
        for line in lines:
            told = route(line)
            assert told.key is not None
            await log.send(told.kind, partition_of(told.key.decode(), settings.partitions), told.key, line)
        await log.drained()


async def test_check_names_the_user_whose_state_was_altered_by_hand(rflow: Callable[..., Command], tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = rflow("up", "--data", data, "--no-warroom")
    settings = running(up, data)
    lines = by_hand()
    await produced(settings, lines)
    shard = partition_of("part", settings.partitions)
    with closing(StateReader(settings)) as states:

        def all_there() -> bool:
            return sum(1 for number in range(settings.partitions) for _ in states.users(number)) == 9

        wait_until(all_there, "all users to be known", 60)
        await asyncio.sleep(1.0)
        status, out, err = rflow("check", "--data", data, "--json").end()
        assert status == 0, (out, err)
        key = ShardKeys(settings.redis_prefix, shard).user + "acme:part"
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
            state = decode_state(client.get(key))
            assert state.orders is not None
            state.orders[0].paid = 777
            client.set(key, encode_state(state))
        status, out, _ = rflow("check", "--data", data, "--json").end()
    assert status == 1
    named = [(d["brand"], d["user_id"]) for d in orjson.loads(out)["differences"]]
    assert set(named) == {("acme", "part")}


def test_on_a_real_kafka(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = simulated(6_000, **CLEAN)
    found = figures_of(rflow("replay", written(tmp_path, lines), "--json", "--broker", "kafka"))
    Expected.of(lines).assert_holds(found, in_order=True)


def test_a_file_without_a_single_touchpoint_has_figures_too(rflow: Callable[..., Command], tmp_path: Path) -> None:
    lines = [b"nonsense", orjson.dumps({"type": "tick", "occurred_at": T0})]
    found = figures_of(rflow("replay", written(tmp_path, lines), "--json"))
    Expected.of(lines[:1]).assert_holds(found, in_order=True)
    assert set(found["layers"]) == {layer.id for layer in LADDER.layers}
