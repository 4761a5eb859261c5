"""The STAR tables, from sums and one walk over the period's transitions, are those of the views, which walk over every user's history."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from random import Random
from typing import Any

import pytest
from msgspec.structs import astuple, replace

from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, MINUTE_MS
from sinks.backfill import FILLED, backfill
from sinks.client import connect
from sinks.config import ClickHouse
from sinks.migrate import migrate, migrations
from sinks.store import Store
from sinks.tables import MOVE_SAMPLE, PARTS, TRANSITIONS
from warroom import crowd_queries
from warroom.crowd import Flow
from warroom.figures import By
from warroom.queries import _SPLIT_VIEW, SCALING
from warroom.reader import bound_period
from warroom.sales import Sales
from warroom.sales_queries import HEADS_OPENING_OF_RECORDS
from warroom.sample import Sample
from warroom.star import Star, _numbered, _period

BEGIN = 1_794_326_400_000
LAYERS = ["R0", "R1", "R2", "R3", "R4", "R5"]
PERIODS = [(0, 4320), (700, 2003)]
TABLES = {
    "triangulating": "SELECT split, layer, users, users_before, share, share_before, crowd_share, growth FROM star_triangulating({})",
    "activating": "SELECT split, from_layer, to_layer, direction, users, transitions, users_before, rate FROM star_activating({})",
    "returning": "SELECT split, layer, gmv, gmv_share, refunds, orders, buyers, order_value, stood, conversion_rate, repurchase_week,"
    " repurchase_month, repurchase_quarter, spend, roi, gmv_new, gmv_new_share FROM returning_before({})",
}
MOVE = ["block", "brand", "user_id", "seq", "from_layer", "to_layer", "direction", "occurred_at", "effective_at"]
MOVE += ["channel", "campaign_id", "store_id", "guide_id", "first_touch_at"]
SALE = ["block", "type", "brand", "user_id", "order_id", "occurred_at", "amount", "refunded", "layer_before", "first_seen", "channel"]
SALE += ["event_id"]


def story(random: Random, layers: list[str]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Newcomers, transitions and orders of 60 users who go up and down over three days; some are erased and come again, some are found to
    have been touched earlier, some never leave the lowest layer."""
    seen, moves, orders = [], [], []
    for number in range(60):
        user, at, layer = f"u{number}", random.randrange(4300), layers[0]
        first: int | None = at
        when = 0
        seen.append((BEGIN + at * MINUTE_MS, "acme", 1))
        for seq in range(1, random.choice((1, 2, 4, 12))):
            erased = layer != layers[0] and random.random() < 0.15
            to = layers[0] if erased else random.choice([one for one in layers if one != layer])
            first = None if erased else at if first is None else first - random.choice((0, 0, 0, 900))
            when = max(when + 1, BEGIN + at * MINUTE_MS + random.randrange(60_000))
            touched = None if first is None else BEGIN + first * MINUTE_MS
            direction = "forward" if to > layer else "reverse"
            labels = [random.choice(choice) for choice in ("abc", ["", "x"], ["", "s1", "s2"], ["", "g"])]
            moves.append((1, "acme", user, seq, layer, to, direction, when, when, *labels, touched))
            layer, at = to, at + random.choice((0, 1, 20, 400, 1500))
            if random.random() < 0.5:
                order = (
                    "acme",
                    user,
                    f"o{user}-{seq}",
                    when,
                    random.randrange(500),
                    0,
                    layer,
                    BEGIN + random.randrange(4000) * MINUTE_MS,
                    "a",
                    "bought",
                )
                orders.append((1, "purchase", *order))
                if random.random() < 0.3:
                    orders.append((1, "refund", *order[:3], when + DAY_MS, 7, 7, *order[6:]))
    return seen, moves, orders


def store(config: ClickHouse, random: Random, layers: list[str]) -> None:
    migrate(config, load_ladder("5r"), 1)
    seen, moves, orders = story(random, layers)
    with closing(connect(config, config.database)) as client:
        client.insert("new_users", seen, column_names=["minute", "brand", "users"])
        client.insert("transitions", moves, column_names=MOVE)
        client.insert("orders", orders, column_names=SALE)
        client.insert(
            "spend", [("s", "acme", BEGIN + DAY_MS, "a", 70)], column_names=["spend_id", "brand", "begins_at", "channel", "amount"]
        )
        for source, part in PARTS:
            if part not in FILLED:
                names = ", ".join(part.column_names)
                client.command(f"INSERT INTO {part.inlet} ({names}) SELECT {names} FROM {source.name}")
        Store(config).write_done(1, "test")
        backfill(client, lambda: None)
        # the view as it was first shipped
        text = next(one for one in migrations()[4].statements(config.database) if ".star_returning AS" in one)
        client.command(text.replace(".star_returning AS", ".returning_before AS"))


@pytest.fixture(scope="module")
def stored(clickhouse_url: str) -> ClickHouse:
    config = ClickHouse(url=clickhouse_url, database="crowd")
    store(config, Random(11), LAYERS)
    return config


def test_tables_are_those_of_the_views(stored: ClickHouse) -> None:
    all_are_those_of_the_views(stored, told_by_views=False)


def test_a_layer_of_a_former_ladder_is_told_by_the_views(clickhouse_url: str, database: str) -> None:
    config = ClickHouse(url=clickhouse_url, database=database)
    store(config, Random(11), ["R0", "R1", "old", "R4"])
    all_are_those_of_the_views(config, told_by_views=True)


def all_are_those_of_the_views(config: ClickHouse, *, told_by_views: bool) -> None:
    with Star(config) as star:
        for first, last in PERIODS:
            start, end = BEGIN + first * MINUTE_MS, BEGIN + last * MINUTE_MS
            assert told(star, start, end, By.ALL) == views(star, start, end, By.ALL)
        for by in (By.CHANNEL,) if told_by_views else By:
            assert told(star, start, end, by) == views(star, start, end, by)
            if by == By.ALL:
                assert _sorted(star._flows("acme", start, end, by, Sample(1, 0))) == flows(star, start, end, by)
            else:
                of_sample = {(one.split, one.from_layer, one.to_layer): one.users for one in flows(star, start, end, by, sampled=True)}
                assert _sorted(star._flows("acme", start, end, by, Sample(16, 0))) == [
                    replace(one, users=min(16 * of_sample.get((one.split, one.from_layer, one.to_layer), 0), one.transitions))
                    for one in flows(star, start, end, by)
                ]
            assert (star.crowd("acme", start, end, by) is None) == told_by_views
        found = star.tables("acme", start, end)
        each = (star.scaling, star.triangulating, star.activating, star.returning)
        assert [table("acme", start, end) for table in each] == [getattr(found, table.__name__) for table in each]


def test_orders_and_heads_are_attributed_by_the_records_before_them(stored: ClickHouse) -> None:
    _, moves, orders = story(Random(11), LAYERS)
    stood = [dict(zip(MOVE, move, strict=True)) for move in moves]
    cells: Counter[tuple[str, ...]] = Counter()
    for order in (dict(zip(SALE, one, strict=True)) for one in orders):
        before = [one for one in stood if one["user_id"] == order["user_id"] and one["occurred_at"] <= order["occurred_at"]]
        place = (order["layer_before"], before[-1]["channel"], before[-1]["store_id"])
        cells[(*place, order["type"])] += order["amount"]
    at = BEGIN + 2_000 * MINUTE_MS
    last = {one["user_id"]: one for one in stood if one["effective_at"] < at}
    heads = Counter((one["to_layer"], one["channel"], one["store_id"]) for one in last.values())
    with Sales(stored) as sales:
        sold = {(one.layer, one.channel, one.store_id): one for one in sales.by_cell("acme", BEGIN, BEGIN + 30 * DAY_MS)}
        assert {place: one.gmv for place, one in sold.items() if one.orders} == {
            place[:3]: amount for place, amount in cells.items() if place[3] == "purchase"
        }
        assert sum(one.refunded for one in sold.values()) == sum(amount for place, amount in cells.items() if place[3] == "refund") > 0
        found = {(one.layer, one.channel, one.store_id): one.users for one in sales.heads_at("acme", at)}
        still = found.pop(("R0", "", "")) - heads.pop(("R0", "", ""), 0)
        assert found == heads
        assert still >= 0
        bound = bound_period("acme", 0, at)
        assert {
            (row[0], row[1], row[2]): row[3] for row in sales._rows(HEADS_OPENING_OF_RECORDS, bound) if row[:3] != ("R0", "", "")
        } == heads


def test_headcounts_wait_for_what_a_record_did_not_tell(clickhouse_url: str, database: str) -> None:
    config = ClickHouse(url=clickhouse_url, database=database)
    store(config, Random(13), LAYERS)
    user = next(move for move in reversed(story(Random(13), LAYERS)[1]) if move[5] != "R0")
    later = (2, "acme", user[2], user[3] + 1, user[5], "R0", "reverse", *[user[7] + 1] * 2, *user[9:])
    period = ("acme", BEGIN, BEGIN + 30 * DAY_MS)
    with closing(connect(config, config.database)) as client, Star(config) as star, Sales(config) as sales:
        before = sales._opening("acme", period[2])
        client.insert("transitions", [later], column_names=MOVE)
        for part in (one for source, one in PARTS if source is TRANSITIONS and one is not MOVE_SAMPLE):
            names = ", ".join(part.column_names)
            client.command(f"INSERT INTO {part.inlet} ({names}) SELECT {names} FROM transitions WHERE block = 2")
        # a worker of an earlier build wrote the user's state: who had brought them is not in the record
        assert star.crowd(*period, By.STORE) is None
        assert told(star, *period[1:], By.STORE) == views(star, *period[1:], By.STORE)
        waiting = sales._opening("acme", period[2])
        assert waiting != before
        Store(config).write_done(2, "test")
        for _ in range(2):
            backfill(client, lambda: None)
            assert star.crowd(*period, By.STORE) is not None
            assert told(star, *period[1:], By.STORE) == views(star, *period[1:], By.STORE)
            assert sales._opening("acme", period[2]) == waiting


def test_of_very_many_transitions_users_are_those_of_a_sample(stored: ClickHouse) -> None:
    bound = {**_period("acme", BEGIN, BEGIN + 3 * DAY_MS), "layers": 6, **_numbered(LAYERS), "rank": 0}
    with Star(stored) as star:
        for by in (By.ALL, By.GUIDE):
            text = crowd_queries.MOVERS[64, by, False].replace("WHERE", "WHERE xxh3(user_id) % 16 = 0 AND")
            counted, sampled = (sorted(map(str, star._rows(one, bound))) for one in (text, crowd_queries.MOVERS[64, by, True]))
            assert counted == sampled
            assert counted


def test_of_very_many_orders_buyers_and_money_are_sums(stored: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    period = ("acme", BEGIN + 65 * MINUTE_MS, BEGIN + 3 * DAY_MS + 7 * MINUTE_MS)
    with Star(stored) as star:
        counted = {by: star.returning(*period, by) for by in (By.ALL, By.GUIDE)}
        # shares of buyers are told of a sample; if the period itself has very many orders, what new buyers paid and refunds are, too
        for of_period, told_of_sample in ((Sample(1, 0), set()), (Sample(16, 0), {"refunds", "gmv_new"})):
            samples = {period[2] - period[1]: of_period, 90 * DAY_MS: Sample(16, 0)}
            monkeypatch.setattr(star, "_orders_sample", lambda _, start, end, samples=samples: samples[end - start])
            same = ["split", "layer", "gmv", "gmv_share", "orders", "buyers", "order_value", "spend", "roi", "refunds", "gmv_new"]
            for by, expected in counted.items():
                if told_of_sample and by != By.ALL:
                    same.remove("buyers")
                for one, other in zip(star.returning(*period, by), expected, strict=True):
                    assert all(getattr(one, name) == getattr(other, name) for name in same if name not in told_of_sample)
                    assert max(one.gmv_new, one.refunds) <= one.gmv
        assert sum(one.orders for one in expected) > 100


def flows(star: Star, start: int, end: int, by: By, *, sampled: bool = False) -> list[Flow]:
    """Worked out from the transitions, or from those of one user in sixteen."""
    column = {By.ALL: "'all'", By.CAMPAIGN: "campaign_id", By.STORE: "store_id", By.GUIDE: "guide_id"}.get(by, "channel")
    text = f"""SELECT toString({column}) AS split, from_layer, to_layer, uniqExact(user_id) AS users, count() AS transitions
        FROM transitions WHERE brand = {{brand:String}} AND effective_at >= {{start:DateTime64(3, 'UTC')}}
            AND effective_at < {{end:DateTime64(3, 'UTC')}} {"AND xxh3(user_id) % 16 = 0" if sampled else ""} GROUP BY ALL"""
    return _sorted(star._structs(Flow, text, bound_period("acme", start, end)))


def _sorted(found: list[Flow]) -> list[Flow]:
    return sorted(found, key=lambda flow: (flow.split, flow.from_layer, flow.to_layer))


def told(star: Star, start: int, end: int, by: By) -> dict[str, list[Any]]:
    found = star.tables("acme", start, end, by)
    return {name: [astuple(row) for row in getattr(found, name)] for name in ("scaling", *TABLES)}


def views(star: Star, start: int, end: int, by: By) -> dict[str, list[Any]]:
    texts = {"scaling": SCALING, **{name: text.format(_SPLIT_VIEW) for name, text in TABLES.items()}}
    return {name: [tuple(row) for row in star._rows(text, _period("acme", start, end, by))] for name, text in texts.items()}
