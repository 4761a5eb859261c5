"""What was sold and to how many heads, of a small day worked out by hand; and every version of a promotion, stored once.

The window is an hour from FROM. Of brand acme, before it: a stands in R3 by wecom, b in R3 by store sh-017, c in R1 by douyin, d was seen
and never left R0. In it: c joins by wecom (R3), e comes (R0) and clicks (R2 by douyin); a buys for 100 on tmall (R4) and for 300 in a store
(R5), b buys for 200 on tmall (R4), e for 50 on tmall (R4), of which 20 are given back.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.promotion import Promotion
from schemas.rollup import NewUsers, OrderRow, Rollup
from schemas.times import MINUTE_MS, to_rfc3339
from schemas.transition import Cause, FirstTouch, Touch, Transition, TransitionKind
from sinks.config import ClickHouse
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_story import LAYERS
from tests.integration.sink_world import Log, query, run_until_stored
from tests.unit.warroom.promotions_by_hand import promotion, version
from warroom.sales import CellSales, Heads, MinuteSales, Sales

FROM = 1_794_326_400_000
TO = FROM + 60 * MINUTE_MS

MOVES: list[tuple[str, int, str, str, int, str, str | None]] = [
    ("a", 1, "R0", "R3", -60, "wecom", None),
    ("b", 1, "R0", "R3", -60, "store", "sh-017"),
    ("c", 1, "R0", "R1", -60, "douyin", None),
    ("c", 2, "R1", "R3", 5, "wecom", None),
    ("e", 1, "R0", "R2", 6, "douyin", None),
    ("a", 2, "R3", "R4", 10, "tmall", None),
    ("b", 2, "R3", "R4", 10, "tmall", None),
    ("a", 3, "R4", "R5", 12, "store", "sh-018"),
    ("e", 2, "R2", "R4", 20, "tmall", None),
]
SALES: list[tuple[str, str, str, int, int, str, str, str | None, int, str, str | None]] = [
    ("purchase", "a", "o1", 10, 100, "R3", "tmall", None, 0, "wecom", None),
    ("purchase", "b", "o2", 10, 200, "R3", "tmall", None, 0, "store", "sh-017"),
    ("purchase", "a", "o3", 12, 300, "R4", "store", "sh-018", 0, "tmall", None),
    ("purchase", "e", "o4", 20, 50, "R2", "tmall", None, 0, "douyin", None),
    ("refund", "e", "o4", 25, 20, "R4", "tmall", None, 20, "tmall", None),
    ("purchase", "a", "o5", 70, 999, "R5", "tmall", None, 0, "store", "sh-018"),
]
VERSIONS = [promotion(), version(2, 600, reason="too low"), version(3, 700, reason="too high", changed_by="li")]


def at(minute: int) -> int:
    return FROM + minute * MINUTE_MS


def transition(index: int, user: str, seq: int, from_: str, to: str, minute: int, channel: str, store: str | None) -> bytes:
    when = to_rfc3339(at(minute))
    return msgspec.json.encode(
        Transition(
            id=f"0:1:{index}",
            shard=0,
            version=1,
            index=index,
            brand="acme",
            user_id=user,
            seq=seq,
            from_=from_,
            to=to,
            direction="forward" if LAYERS.index(to) > LAYERS.index(from_) else "reverse",
            kind=TransitionKind.ADVANCE,
            occurred_at=when,
            effective_at=when,
            detected_at=when,
            late=False,
            dwell_ms=None,
            ladder="5r@1",
            cause=Cause(),
            touch=Touch(channel=channel, store_id=store),
            first_touch=FirstTouch(),
            former_touch=next((Touch(channel=one[5], store_id=one[6]) for one in MOVES if one[:2] == (user, seq - 1)), None),
        )
    )


def order(
    type_: str,
    user: str,
    order_id: str,
    minute: int,
    amount: int,
    layer: str,
    channel: str,
    store: str | None,
    back: int,
    brought: str,
    brought_store: str | None,
) -> OrderRow:
    return OrderRow(
        event_id=f"{type_}-{order_id}",
        type=type_,
        brand="acme",
        user_id=user,
        order_id=order_id,
        occurred_at=at(minute) + 30_000,
        amount=amount,
        refunded=back,
        currency="CNY",
        layer_before=layer,
        first_seen=FROM,
        channel=channel,
        store_id=store,
        layer_channel=brought,
        layer_store_id=brought_store,
    )


def rollup(shard: int, watermark: int, moves: int = 0, **rows: Any) -> bytes:
    values: dict[str, Any] = {"touches": [], "new_users": [], "orders": [], "junk_touches": [], **rows}
    return msgspec.json.encode(
        Rollup(
            shard=shard,
            version=1,
            index=0,
            last=True,
            ladder="5r@1",
            detected_at=TO,
            watermark=watermark,
            swept_to=None,
            offsets={},
            applied=0,
            duplicates=0,
            junk=0,
            late=0,
            dead_letters={},
            forwarded=0,
            ticks=0,
            transitions=moves,
            **values,
        )
    )


@pytest.fixture(scope="module")
def stored(mock_broker: str, clickhouse_url: str) -> ClickHouse:
    log = Log(mock_broker, "sales.")
    for one in (VERSIONS[0], VERSIONS[1], VERSIONS[1], VERSIONS[2], VERSIONS[0]):  # some told again, the first out of turn
        log.send("promotions", 1, msgspec.json.encode(one))
    log.send("promotions", 1, b'{"promotion_id": "broken"}')
    log.flush()
    for index, move in enumerate(MOVES):
        log.send("transitions", 0, transition(index, *move))
    people = [NewUsers(at(-60), "acme", 4), NewUsers(at(6), "acme", 1)]
    log.send("rollups", 0, rollup(0, at(30), len(MOVES), new_users=people, orders=[order(*one) for one in SALES]))
    log.send("rollups", 1, rollup(1, at(29)))
    log.flush()
    settings = config(mock_broker, log.prefix, clickhouse_url, "sales_by_hand")
    assert settings.partitions == PARTITIONS
    run_until_stored(settings, {0: 1, 1: 1}, len(MOVES))
    return settings.clickhouse


@pytest.fixture
def sales(stored: ClickHouse) -> Sales:
    return Sales(stored)


def test_sales_by_minute(sales: Sales) -> None:
    found = [(m.minute, m.orders, m.gmv, m.refunded, m.buyers_so_far) for m in sales.by_minute("acme", FROM, TO)]
    assert found == [(at(10), 2, 300, 0, 2), (at(12), 1, 300, 0, 2), (at(20), 1, 50, 0, 3), (at(25), 0, 0, 20, 3)]
    assert sales.by_minute("acme", at(12), at(13)) == [MinuteSales(minute=at(12), orders=1, gmv=300, refunded=0, buyers_so_far=1)]
    assert sales.by_minute("other", FROM, TO) == []


def test_sales_by_cell(sales: Sales) -> None:
    def cell(layer: str, channel: str, store: str, orders: int, gmv: int, refunded: int = 0) -> CellSales:
        return CellSales(layer=layer, channel=channel, store_id=store, orders=orders, gmv=gmv, refunded=refunded)

    assert sales.by_cell("acme", FROM, TO) == [
        cell("R2", "douyin", "", 1, 50),
        cell("R3", "store", "sh-017", 1, 200),
        cell("R3", "wecom", "", 1, 100),
        cell("R4", "tmall", "", 1, 300, 20),
    ]


def heads(layer: str, channel: str, users: int, store: str = "") -> Heads:
    return Heads(layer=layer, channel=channel, store_id=store, users=users)


def test_who_stood_where_when_the_window_began(sales: Sales) -> None:
    opening = [heads("R0", "", 1), heads("R1", "douyin", 1), heads("R3", "store", 1, "sh-017"), heads("R3", "wecom", 1)]
    assert sales.heads_at("acme", FROM) == opening
    assert sales.heads_at("acme", FROM) is sales.heads_at("acme", FROM)
    assert sales.heads_at("acme", at(-61)) == sales.heads_at("nobody", FROM) == []


def test_everybody_who_stood_in_a_layer_counts(sales: Sales) -> None:
    found = sales.heads("acme", FROM, TO)
    assert found == [
        heads("R0", "", 2),
        heads("R1", "douyin", 1),
        heads("R2", "douyin", 1),
        heads("R3", "store", 1, "sh-017"),
        heads("R3", "wecom", 2),
        heads("R4", "tmall", 3),
        heads("R5", "store", 1),
    ]
    # one attribution on both sides: nobody buys in a cell that has no heads
    cells = {(one.layer, one.channel) for one in found}
    assert {(one.layer, one.channel) for one in sales.by_cell("acme", FROM, TO)} <= cells
    by_store = sales.heads("acme", FROM, TO, by_store=True)
    assert heads("R5", "store", 1, "sh-018") in by_store
    assert sum(one.users for one in by_store) == sum(one.users for one in found)


def test_figures_are_as_of_the_shard_that_is_furthest_behind(sales: Sales) -> None:
    assert sales.as_of() == at(29)


@pytest.mark.parametrize("brand", ["acme' OR 1=1 --", "{start:String}", "\\", "a\n\tb"])
def test_values_are_bound(sales: Sales, brand: str) -> None:
    assert sales.by_cell(brand, FROM, TO) == []
    assert sales.heads(brand, FROM, TO, by_store=True) == []


def test_every_version_is_stored_once_with_who_and_why(stored: ClickHouse) -> None:
    text = "SELECT version, changed_by, reason, target_gmv, record FROM promotions FINAL WHERE promotion_id = 'd11' ORDER BY version"
    rows = query(stored, text)
    assert [row[:4] for row in rows] == [(one.version, one.changed_by, one.reason, one.target.gmv) for one in VERSIONS]
    assert [msgspec.json.decode(row[4], type=Promotion) for row in rows] == VERSIONS
