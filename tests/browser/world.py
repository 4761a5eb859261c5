"""What the browser looks at: a war room process over a worker, a sink and servers of its own, with two promotions behind it.

Time is the events': a simulated Double 11 stands at a quarter to one of its night and moves when `feed` writes more of it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson

from deploy.desk import desk_of
from deploy.stack.broker import MockBrokerConfig
from deploy.stack.ports import free_port
from schemas.alert import Alert, AlertState, Flow, Severity
from schemas.ladder import Ladder
from schemas.ladder_file import load_ladder
from schemas.promotion import LayerTarget, PhaseName, Promotion, Target
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from sinks.config import ClickHouse
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.simulator.spend import spend_lines
from tests.integration.sink_world import is_stored, query
from tests.servers import Server, Servers, wait_until
from tests.workers import ROOT, Deployment, Worker
from warroom.auth.accounts import AccountsFile, User, hash_password, new_accounts
from warroom.auth.roles import Role
from warroom.promotions.board import Board
from warroom.promotions.definition import Definition, WrittenPhase, WrittenWindow, convert_definition, first_version
from warroom.sales import Sales

BRAND, EMPTY_BRAND = "acme", "新芽"
PASSWORD = "correct horse battery"
PEOPLE = {"vera": Role.VIEWER, "olga": Role.OPERATOR, "omar": Role.OPERATOR, "ada": Role.ADMIN}
EARLIER, PROMOTION = "618-2025", "d11-2025"
NOW = "2025-11-10T16:45:00.000Z"
"""A quarter to one in Shanghai."""
_PREFIX = "screen."
_DATABASE = "screen"


@dataclass
class World:
    """The processes, and where the war room is. `target` is GMV of the promotion's first version, minor units."""

    deployment: Deployment
    clickhouse: ClickHouse
    servers: dict[str, Server]
    worker: Worker
    sink: Worker
    warroom: Worker
    url: str
    coming: Iterator[bytes]
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    target: int = 0

    def feed(self, lines: int = 40) -> None:
        """Let the day go on by so many touchpoints; returns when Kafka has them."""
        self.write(itertools.islice(self.coming, lines))

    def write(self, lines: Iterable[bytes]) -> None:
        """Write lines to where they belong."""
        # In a thread: where a browser is driven an event loop runs already.
        with ThreadPoolExecutor(1) as thread:
            self.ends |= thread.submit(self.deployment.replay, lines).result().ends

    def alert(self, alert_id: str, channel: str = "wecom", **given: Any) -> Alert:
        """Put a record of an alert on the topic, of a drop of R2>R3 in a channel a quarter of an hour ago."""
        values: dict[str, Any] = {
            "rule": "flow_drop",
            "state": AlertState.FIRING,
            "severity": Severity.CRITICAL,
            "title": {"en": f"R2→R3 has dropped by 52% in {channel}", "zh": f"R2→R3（{channel}）流转下降 52%"},
            "summary": {
                "en": f"2.1% of touchpoints moved a user since 00:28 (61/2,905), usually 4.4%. It comes from {channel} 91%, store 9%.",
                "zh": f"自 00:28 起转化率 2.1%（61/2,905），平时 4.4%。主要来自 {channel} 91%, store 9%。",
            },
            "observed": 0.021,
            "expected": 0.044,
            "users_at_stake": 735,
            "gmv_at_stake": 9_547_650,
            "version": 1,
            **given,
        }
        flow, at = Flow(from_="R2", to="R3"), from_rfc3339(NOW)
        since, told_at = to_rfc3339(at - 17 * MINUTE_MS), to_rfc3339(at - 15 * MINUTE_MS + values["version"] * MINUTE_MS)
        made = Alert(alert_id=alert_id, brand=BRAND, flow=flow, scope={"channel": channel}, since=since, at=told_at, **values)
        self.deployment.produce([("alerts", 0, alert_id.encode(), msgspec.json.encode(made), None)])
        return made

    def until_stored(self) -> None:
        """Wait until all that was written is applied and stored."""
        self.deployment.until_applied(self.ends)
        versions = {shard: meta.version for shard, meta in enumerate(self.deployment.metas())}
        wait_until(lambda: is_stored(self.clickhouse, versions, 0), "the sink", 60)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What ClickHouse says, asked by nobody's code but the test's."""
        return query(self.clickhouse, statement)


@contextmanager
def screen_world(folder: Path, *, events: int = 6_000) -> Iterator[World]:
    """A war room with accounts, over a day of so many touchpoints and an earlier one of half as many."""
    ladder_file = folder / "ladder.yaml"
    ladder_file.write_text(f"{(ROOT / 'schemas' / '5r.yaml').read_text()}\nbrands:\n  {EMPTY_BRAND}: {{currency: CNY}}\n")
    with Servers(folder / "servers") as servers:
        broker = servers.mock_broker(MockBrokerConfig(topics=(), partitions=4))
        redis, clickhouse = servers.redis(), servers.clickhouse()
        given: dict[str, Any] = {
            "intake": "strict",
            "clock": "event",
            "topic_ids": False,
            "ladder": str(ladder_file),
            "sink_linger": 0.2,
            "clickhouse_url": clickhouse.address,
            "clickhouse_database": _DATABASE,
        }
        with Deployment(folder, broker.address, redis.address, _PREFIX, "screen", **given) as deployment:
            deployment.create_topics()
            port = free_port()
            warroom = {"warroom_port": port, "warroom_accounts": str(_accounts(folder)), "warroom_rate": 10_000}
            ladder = load_ladder(str(ladder_file))
            day = _config(ladder, events, datetime(2025, 11, 10, 18), seed=11)
            lines = PromotionDay(day).lines()
            world = World(
                deployment,
                ClickHouse(url=clickhouse.address, database=_DATABASE),
                {"broker": broker, "redis": redis, "clickhouse": clickhouse},
                deployment.start(),
                process_of(deployment, "sink"),
                process_of(deployment, "warroom", **warroom),
                f"http://127.0.0.1:{port}",
                lines,
            )
            _spend(deployment, day)
            world.write(_until_now(ladder, events, lines))
            world.until_stored()
            world.target = _promotions(deployment, world.clickhouse, ladder)
            wait_until(lambda: world.warroom.get("/readyz")[0] == 200, "the war room", 60)
            yield world


def process_of(deployment: Deployment, name: str, **given: Any) -> Worker:
    """Another of rflow's processes, that ends with the deployment's."""
    made = Worker(deployment.environment(**given), deployment.folder / f"{name}.log", module=("deploy", name))
    deployment.workers.append(made)
    return made


def _accounts(folder: Path) -> Path:
    file, made = AccountsFile(folder / "accounts.json"), new_accounts()
    hashed = hash_password(PASSWORD)
    for name, role in PEOPLE.items():
        made = made.with_user(User(name=name, role=role, password=hashed))
    made = made.with_user(User(name="nina", role=Role.VIEWER, password=hashed, brands=()))
    file.write(made)
    return file.path


def _config(ladder: Ladder, events: int, start: datetime, seed: int) -> SimulatorConfig:
    sound: dict[str, float] = {"late": 0, "broken": 0, "retries": 0, "text_times": 0}
    return SimulatorConfig(ladder, seed=seed, users=max(100, events // 6), events=events, brands=(BRAND,), start=start, peak=8, **sound)  # type: ignore[arg-type]


def _until_now(ladder: Ladder, events: int, lines: Iterator[bytes]) -> Iterator[bytes]:
    """The earlier promotion, and this one up to NOW."""
    yield from PromotionDay(_config(ladder, events // 2, datetime(2025, 6, 17, 18), seed=6)).lines()
    now = from_rfc3339(NOW)
    yield from itertools.takewhile(lambda line: orjson.loads(line)["occurred_at"] < now, lines)


def _spend(deployment: Deployment, day: SimulatorConfig) -> None:
    deployment.produce(("spend", 0, b"", line, None) for line in spend_lines(day))


def _promotions(deployment: Deployment, store: ClickHouse, ladder: Ladder) -> int:
    """The earlier promotion, and this one: its targets a tenth above what the layers did so far, its plan the earlier one's curve."""
    sales = Sales(store)
    with desk_of(deployment.settings) as desk:
        board = Board(desk, sales, ladder, lambda: from_rfc3339(NOW))
        flat = Target(owner="chen", layers=(LayerTarget(layer="R3", headcount=1_000, conversion_rate=0.1, order_value=30_000),))
        desk.create(_definition(EARLIER, "618", "2025-06-17 20:00", "2025-06-18 00:00", "2025-06-19 00:00", flat), by="chen", because="618")
        draft = _definition(PROMOTION, "双11 Double 11", "2025-11-10 20:00", "2025-11-11 00:00", "2025-11-12 00:00", flat)
        plan = board.curve_of(EARLIER, first_version(draft, ladder, by="chen", because="draft", now=0))
        due = first_version(draft, ladder, by="chen", because="draft", now=0, plan=plan).share_at(from_rfc3339(NOW))
        target = _target(sales, due)
        made = desk.create(msgspec.structs.replace(draft, target=target), by="chen", because="首版目标 agreed", plan=plan)
    return made.promotion.target.gmv


def _definition(name: str, title: str, begin: str, peak: str, end: str, target: Target) -> Definition:
    return Definition(
        promotion_id=name,
        brand=BRAND,
        name=title,
        window=WrittenWindow(from_=begin, to=end),
        phases=(WrittenPhase(phase=PhaseName.PRESALE, from_=begin, to=peak), WrittenPhase(phase=PhaseName.PEAK, from_=peak, to=end)),
        target=target,
    )


def _target(sales: Sales, due: float) -> Target:
    """From what each layer has done so far, a tenth more: what the day is short of is orders a head."""
    begin, end = from_rfc3339("2025-11-10T12:00:00.000Z"), from_rfc3339(NOW)
    heads, orders, gmv = Counter[str](), Counter[str](), Counter[str]()
    for one in sales.heads(BRAND, begin, end):
        heads[one.layer] += one.users
    for row in sales.by_cell(BRAND, begin, end):
        orders[row.layer] += row.orders
        gmv[row.layer] += row.gmv
    rows = []
    for layer, placed in sorted(orders.items()):
        if placed:
            wanted = 1.1 * placed / due
            users = max(heads[layer], round(2 * wanted))  # nobody converts at more than one order in two
            rate = round(wanted / users, 6)
            rows.append(LayerTarget(layer=layer, headcount=users, conversion_rate=rate, order_value=gmv[layer] // placed))
    return Target(owner="li", layers=tuple(rows))


def on_topic(world: World) -> list[Promotion]:
    """Every version of the promotion that Kafka holds, in order."""
    told = [msgspec.json.decode(message.value() or b"", type=Promotion) for message in world.deployment.read("promotions")]
    return [one for one in told if one.promotion_id == PROMOTION]


def until(world: World, at: int) -> Iterator[bytes]:
    """The day's touchpoints up to an instant."""
    for line in world.coming:
        yield line
        if orjson.loads(line)["occurred_at"] >= at:
            return


def newest(world: World, promotion_id: str) -> Promotion:
    with desk_of(world.deployment.settings) as desk:
        return desk.versions(promotion_id)[-1]


def definition_of(like: Promotion, promotion_id: str, phases: list[tuple[str, str, str]]) -> Definition:
    """A promotion of the same window and targets."""
    window = {"from": like.window.from_, "to": like.window.to}
    told = {"promotion_id": promotion_id, "brand": like.brand, "name": like.name, "window": window}
    target = msgspec.to_builtins(like.target)
    return convert_definition(told | {"target": target, "phases": [{"phase": name, "from": a, "to": b} for name, a, b in phases]})
