"""Figures of a period from sums by the day, hour and minute equal those from the records, however the period lies; and tables of sums that
come new are filled from the records, whole blocks once each, also when that is broken off or done twice at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from sinks.migrate import migrate
from sinks.store import Store
from sinks.tables import PARTS
from tests.integration.sink_world import SUMS, query
from warroom import sold_queries
from warroom.drill import _FROM_RECORDS, Dimension, Drill, LabelLine
from warroom.figures import By
from warroom.lists import _FLOWS_OF_RECORDS, FlowLine, Span
from warroom.live.reader import LiveReader
from warroom.sales import Sales
from warroom.sample import Sample
from warroom.spans import HOUR_MS

BEGIN = 1_794_326_400_000
DAYS = 3
PERIODS = [
    (0, DAYS * 1440),  # from 16:00 UTC to 16:00 UTC
    (483, 1920 + 61),
    (65, 115),  # no whole hour
    *((start, start + length) for start, length in zip(Random(5).sample(range(3000), 1), (700,), strict=True)),
]
NARROWED: list[dict[str, str]] = [
    {},
    {"channel": "jd"},
    {"campaign_id": "c1"},
    {"channel": "tmall", "campaign_id": "c2"},
    {"store_id": "s2"},
]
_LABELS = """['tmall', 'jd', 'douyin', ''][1 + h % 4] AS channel, ['c1', 'c2', ''][1 + intDiv(h, 4) % 3] AS campaign_id,
    if(h % 4 = 1, concat('s', toString(intDiv(h, 12) % 5)), '') AS store_id, if(h % 4 = 2, 'g', '') AS guide_id"""
_USER = "concat('u', toString(cityHash64(number, 7) % 200000)) AS user_id, concat('b', toString(number % 20 = 3)) AS brand"
_AT = f"fromUnixTimestamp64Milli(toInt64({BEGIN}) + cityHash64(number, 9) % {DAYS * DAY_MS}, 'UTC')"
_TRANSITIONS = f"""INSERT INTO transitions (block, brand, user_id, seq, from_layer, to_layer, direction, kind, occurred_at, effective_at,
    channel, campaign_id, store_id, guide_id)
    SELECT intDiv(number * {{blocks}}, {{rows}}) + 1, brand, user_id, number, concat('R', toString(h % 6)) AS a,
        concat('R', toString((h + 1 + h % 5) % 6)) AS b, if(a < b, 'forward', 'reverse'), if(a < b, 'advance', 'decay'), {_AT} AS at, at,
        channel, campaign_id, store_id, guide_id
    FROM (SELECT number, cityHash64(number) AS h, {_USER}, {_LABELS} FROM numbers({{rows}}))"""
_ORDERS = f"""INSERT INTO orders (block, type, brand, user_id, order_id, occurred_at, amount, refunded, layer_before, first_seen,
    channel, campaign_id, store_id, guide_id, layer_channel, layer_store_id)
    SELECT intDiv(told * {{blocks}}, {{rows}}) + 1, if(h % 9 = 4, 'refund', 'purchase') AS what, brand, user_id, toString(number),
        {_AT} + toIntervalMillisecond(told - number) AS at, h % 1000, if(what = 'refund', h % 100, 0), concat('R', toString(h % 6)),
        at - toIntervalHour(h % 48),
        channel, campaign_id, store_id, guide_id, ['jd', 'wecom'][1 + h % 2], ['', 's1', 's2'][1 + h % 3]
    FROM
    (
        SELECT t.number AS told, cityHash64(told, 2) AS h, told - (h % 9 = 4 AND told > 0) AS number, {_USER}, {_LABELS}
        FROM numbers({{rows}}) AS t
    )"""
"""A refund is of the order before it."""
_BLOCKS = 50
_OF = "brand = {brand:String} AND o.occurred_at >= {start:DateTime64(3, 'UTC')} AND o.occurred_at < {end:DateTime64(3, 'UTC')}"
_SUMS = "countIf(type = 'purchase'), sumIf(amount, type = 'purchase')"
_BUYERS = "uniqIf(bitShiftRight(xxh3(user_id), 11), type = 'purchase')"
CELLS = f"""SELECT toString(layer_before), toString(layer_channel), toString(layer_store_id), {_SUMS}, sum(refunded)
    FROM orders AS o WHERE {_OF} GROUP BY layer_before, layer_channel, layer_store_id ORDER BY ALL"""
MINUTES_SOLD = f"""SELECT minute, bought, paid, back, uniqMerge(people) OVER (ORDER BY minute) FROM (
    SELECT intDiv(toUnixTimestamp64Milli(o.occurred_at), 60000) * 60000 AS minute, countIf(type = 'purchase') AS bought,
        sumIf(amount, type = 'purchase') AS paid, sum(refunded) AS back,
        uniqStateIf(bitShiftRight(xxh3(user_id), 11), type = 'purchase') AS people
    FROM orders AS o WHERE {_OF} GROUP BY minute) ORDER BY minute"""
TODAY = f"""SELECT if(place = '', 'all', 'layer') AS what, place, countIf(type = 'purchase'), {_BUYERS}, sumIf(amount, type = 'purchase'),
    sumIf(amount, type = 'purchase' AND first_seen > o.occurred_at - INTERVAL 24 HOUR), sum(refunded)
    FROM orders AS o ARRAY JOIN ['', toString(layer_before)] AS place WHERE {_OF} GROUP BY place ORDER BY what, place"""
ENTERED = """SELECT toString(to_layer), toString(channel), {store}, count() FROM transitions
    WHERE brand = {{brand:String}} AND effective_at >= {{start:DateTime64(3, 'UTC')}} AND effective_at < {{end:DateTime64(3, 'UTC')}}
    GROUP BY ALL ORDER BY ALL"""
SAMPLE = Sample(32, 1)
LAYERS = [f"R{number}" for number in range(6)]


def records(config: ClickHouse, rows: int) -> None:
    """As an earlier program left them: records of 50 blocks, all done, a fifth as many orders, and their sums by the minute."""
    migrate(config, load_ladder("5r"), 1)
    with closing(connect(config, config.database)) as client:
        client.command(_TRANSITIONS.format(rows=rows, blocks=_BLOCKS))
        client.command(_ORDERS.format(rows=rows // 5, blocks=_BLOCKS))
        for source, part in PARTS:
            if part not in FILLED:
                names = ", ".join(part.column_names)
                client.command(f"INSERT INTO {part.inlet} ({names}) SELECT {names} FROM {source.name}")
    Store(config).write_done(_BLOCKS, "test")


@pytest.fixture(scope="module")
def stored(clickhouse_url: str) -> ClickHouse:
    """More users than a state of distinct ones tells exactly, over three days."""
    config = ClickHouse(url=clickhouse_url, database="spans")
    records(config, 95_000)
    migrate(config, load_ladder("5r"), 1)
    return config


@pytest.mark.parametrize("period", PERIODS)
def test_figures_are_those_of_the_records(stored: ClickHouse, period: tuple[int, int]) -> None:
    whole = Span(brand="b0", start=BEGIN + period[0] * MINUTE_MS, end=BEGIN + period[1] * MINUTE_MS)
    with Drill(stored, seconds=60) as drill, Sales(stored) as sales, LiveReader(stored) as live:
        for by in Dimension:
            bound = {**whole.bound(), "by": by.value, "limit": 100}
            assert drill.label_lines(whole, by, 100) == drill._structs(LabelLine, _FROM_RECORDS, bound)
        for labels in NARROWED:
            narrowed = replace(whole, **labels)
            assert drill.flow_lines(narrowed) == drill._structs(FlowLine, _FLOWS_OF_RECORDS, narrowed.bound())
        bounds = (whole.brand, whole.start, whole.end)
        assert [astuple(one) for one in sales.by_cell(*bounds)] == rows(drill, CELLS, whole)
        by_minute = rows(drill, MINUTES_SOLD, whole)
        assert [astuple(one) for one in sales.by_minute(*bounds)] == by_minute
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warroom.sales._MOST_BY_MINUTE", 0)
            by_hour = [astuple(one) for one in sales.by_minute(*bounds)]
        assert [row[:4] for row in by_hour] == [row[:4] for row in by_minute]
        last_of_hours = {row[0] // HOUR_MS: row for row in by_minute}.values()
        assert {*last_of_hours} <= {*by_hour}
        for by_store, store in ((False, "''"), (True, "toString(store_id)")):
            entered = [astuple(one) for one in sales.heads_entered(*bounds, by_store=by_store)]
            assert entered == rows(drill, ENTERED.format(store=store), whole)
        today = live.questions(whole.brand, whole.end - 1, whole.start)["today"]()
        told = [tuple(row.values()) for row in today if row["what"] in ("all", "layer")]
        assert told == rows(drill, TODAY, whole)


def test_of_very_many_transitions_users_are_those_of_a_sample(stored: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warroom.lists.sample_of", lambda _: SAMPLE)
    span = Span(brand="b0", start=BEGIN + 61 * MINUTE_MS, end=BEGIN + 2 * DAY_MS, channel="jd")
    sampled = f"(SELECT * FROM transitions WHERE xxh3(user_id) % {SAMPLE.one_in} = 0) AS t"
    with Drill(stored, seconds=60) as drill:
        bound = {**span.bound(), "by": "store", "limit": 100}
        # of everything but the users moved nothing is estimated
        told = {one.label: one for one in drill._structs(LabelLine, _FROM_RECORDS, bound)}
        moved = {one.label: one for one in drill._structs(LabelLine, _FROM_RECORDS.replace("transitions AS t", sampled), bound)}
        assert {one.label: one for one in drill.label_lines(span, Dimension.STORE, 100)} == {
            label: replace(
                one,
                users_forward=moved[label].users_forward * SAMPLE.one_in,
                users_reverse=moved[label].users_reverse * SAMPLE.one_in,
            )
            for label, one in told.items()
        }
        shop = replace(span, store_id="s2")
        flows = drill._structs(FlowLine, _FLOWS_OF_RECORDS.replace("transitions AS t", sampled), shop.bound())
        assert drill.flow_lines(shop) == [
            replace(one, users=one.users * SAMPLE.one_in, transitions=one.transitions * SAMPLE.one_in) for one in flows
        ]
        assert flows


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("asked", ["SUMS", "REFUNDS", "BUYERS"])
def test_of_very_many_orders_some_are_those_of_a_sample(stored: ClickHouse, asked: str, rank: int) -> None:
    span = Span(brand="b0", start=BEGIN + 61 * MINUTE_MS, end=BEGIN + 2 * DAY_MS)
    bound = {**span.bound(), "names": LAYERS, "numbers": [*range(6)], "rank": rank}
    texts = getattr(sold_queries, asked)
    with Drill(stored, seconds=60) as drill:
        for by in (By.ALL, By.STORE):
            kept = texts[by, False].replace("orders AS o WHERE", f"orders AS o WHERE xxh3(user_id) % {16 << rank} = 0 AND")
            counted, sampled = (sorted(map(str, drill._rows(text, bound))) for text in (kept, texts[by, True]))
            assert counted == sampled
            assert counted


def test_a_sample_tells_money_within_its_bounds(stored: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    period = ("b0", BEGIN + 61 * MINUTE_MS, BEGIN + 2 * DAY_MS)
    with Drill(stored, seconds=60) as drill:
        counted = {(by, line.split): line for by in (By.ALL, By.CHANNEL) for line in drill.returning(*period, by) if not line.layer}
        monkeypatch.setattr("warroom.star.sample_of", lambda _, **_walked: Sample(16, 0))
        for (by, split), line in counted.items():
            told = next(one for one in drill.returning(*period, by) if (one.split, one.layer) == (split, ""))
            for name in ("gmv_new", "refunds"):
                whole = getattr(line, name)
                # who paid most paid 3,000, who got most back 200: a sum of squares is at most that times the sum
                error = (15 * whole * (3_000 if name == "gmv_new" else 200)) ** 0.5
                assert abs(getattr(told, name) - whole) < 3 * error
                assert getattr(told, name) not in (0, whole)
            assert line.repurchase_quarter is not None
            assert told.repurchase_quarter == pytest.approx(line.repurchase_quarter, abs=4 * (16 * 0.25 / line.buyers) ** 0.5)


def rows(drill: Drill, text: str, of: Span) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in drill._rows(text, of.bound())]


def test_tables_of_sums_are_filled_whatever_breaks_it_off(clickhouse_url: str, database: str) -> None:
    config = ClickHouse(url=clickhouse_url, database=database)
    records(config, 3_000)
    with closing(connect(config, config.database)) as client:
        # a block that is not done: the sink will go on with it
        for table in ("transitions", "orders"):
            client.command(f"INSERT INTO {table} SELECT * REPLACE (51 AS block) FROM {table} WHERE block = 7")
    contents = {part.name: SUMS[part.name] for part in FILLED}

    def found() -> dict[str, list[str]]:
        return {name: sorted(map(str, query(config, text))) for name, text in contents.items()}

    passed = iter(range(100))

    def break_off() -> None:
        if next(passed) == 2:
            raise KeyboardInterrupt

    def fill(carried_out: Callable[[], object]) -> None:
        with closing(connect(config, config.database)) as client:
            backfill(client, carried_out, most=700)

    with pytest.raises(KeyboardInterrupt):
        fill(break_off)
    assert query(config, "SELECT max(block) FROM flow_spans")[0][0] in range(1, _BLOCKS)
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(fill, lambda: None) for _ in range(2)]:
            done.result()
    filled = found()
    fill(lambda: None)
    assert found() == filled
    with closing(connect(config, config.database)) as client:
        for part in FILLED:
            client.command(f"TRUNCATE TABLE {part.name}")
        backfill(client, lambda: None, most=10**9)
    assert found() == filled
