"""The STAR tables, the ledger and the sums of one day whose figures were worked out by hand.

The day is 2026-11-11 in Shanghai. The users of brand acme:

    a   came the day before by douyin (R1); joined a group in wecom (R3), bought for 100 in the store (R4)
    b   came the day before by tmall (R2), having bought for 1000 ten days ago; lapsed today (R0)
    c   came today by douyin (R1), bought there for 300 (R4), of which 50 were refunded the day after; bought for 200 in the store (R5)
    d   was seen the day before, e today; neither ever left R0

On douyin 200 were spent (told as 150 before), on campaign c9 of tmall 100; 999 the day after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from schemas.rollup import JunkCount, NewUsers, OrderRow, Rollup, TouchCount
from schemas.times import DAY_MS, MINUTE_MS, to_rfc3339
from schemas.transition import Cause, FirstTouch, Touch, Transition, TransitionKind
from sinks.config import ClickHouse
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_story import LAYERS, user_hash
from tests.integration.sink_world import Log, query, run_until_stored
from tests.servers import wait_until
from warroom.figures import Activating, By, Junk, Returning, Scaling, Stored, Triangulating
from warroom.star import Star

FROM = 1_794_326_400_000
TO = FROM + DAY_MS
TURN = FROM + 4 * 60 * MINUTE_MS
FIRST = {"a": ("douyin", FROM - 7_200_000), "b": ("tmall", FROM - 7_200_000), "c": ("douyin", FROM + MINUTE_MS)}


def at(minute: int) -> int:
    """A minute of the day."""
    return FROM + minute * MINUTE_MS


@dataclass
class Move:
    user: str
    seq: int
    from_: str
    to: str
    at: int
    channel: str


MOVES = [
    Move("a", 1, "R0", "R1", at(-120), "douyin"),
    Move("b", 1, "R0", "R2", at(-120), "tmall"),
    Move("a", 2, "R1", "R3", at(5), "wecom"),
    Move("a", 3, "R3", "R4", at(10), "store"),
    Move("b", 2, "R2", "R0", at(20), "tmall"),
    Move("c", 1, "R0", "R1", at(1), "douyin"),
    Move("c", 2, "R1", "R4", at(30), "douyin"),
    Move("c", 3, "R4", "R5", at(40), "store"),
]
NEW = [NewUsers(at(-120), "acme", 2), NewUsers(at(-60), "acme", 1), NewUsers(at(1), "acme", 1), NewUsers(at(3), "acme", 1)]


def order(type_: str, user: str, order_id: str, at_: int, amount: int, before: str, channel: str, refunded: int = 0) -> OrderRow:
    return OrderRow(
        event_id=f"{type_}-{order_id}",
        type=type_,
        brand="acme",
        user_id=user,
        order_id=order_id,
        occurred_at=at_,
        amount=amount,
        refunded=refunded,
        currency="CNY",
        layer_before=before,
        first_seen=FIRST[user][1],
        channel=channel,
    )


ORDERS = [
    order("purchase", "b", "o0", FROM - 10 * DAY_MS, 1000, "R0", "tmall"),
    order("purchase", "a", "o1", at(10), 100, "R3", "store"),
    order("purchase", "c", "o1", at(30), 300, "R1", "douyin"),
    order("purchase", "c", "o2", at(40), 200, "R4", "store"),
    order("refund", "c", "o1", TO + MINUTE_MS, 50, "R5", "douyin", refunded=50),
]
TOUCHES = [
    TouchCount(at(1), "acme", "ad_click", "douyin", None, None, "R0", 2, [user_hash("c"), user_hash("x")]),
    TouchCount(at(1), "acme", "ad_click", "douyin", None, None, "R0", 1, [user_hash("c")]),
]
JUNK = [
    JunkCount(at(1), "acme", "ad_click", "douyin", 6),
    JunkCount(at(1), "acme", "ad_click", None, 1),
    JunkCount(at(2), "acme", "like", "douyin", 2),
    JunkCount(at(2), "zeta", "ad_click", "douyin", 1),
]
SPEND = [
    {"spend_id": "1", "day": "2026-11-11", "channel": "douyin", "amount": 150},
    {"spend_id": "2", "day": "2026-11-11", "channel": "tmall", "campaign_id": "c9", "amount": 100},
    {"spend_id": "3", "day": "2026-11-12", "channel": "douyin", "amount": 999},
    {"spend_id": "1", "day": "2026-11-11", "channel": "douyin", "amount": 200},
]


def transition(move: Move, index: int) -> bytes:
    channel, first_at = FIRST[move.user]
    forward = LAYERS.index(move.to) > LAYERS.index(move.from_)
    return msgspec.json.encode(
        Transition(
            id=f"0:1:{index}",
            shard=0,
            version=1,
            index=index,
            brand="acme",
            user_id=move.user,
            seq=move.seq,
            from_=move.from_,
            to=move.to,
            direction="forward" if forward else "reverse",
            kind=TransitionKind.ADVANCE if forward else TransitionKind.DECAY,
            occurred_at=to_rfc3339(move.at),
            effective_at=to_rfc3339(move.at),
            detected_at=to_rfc3339(move.at),
            late=False,
            dwell_ms=None,
            ladder="5r@1",
            cause=Cause(),
            touch=Touch(channel=move.channel),
            first_touch=FirstTouch(channel=channel, at=to_rfc3339(first_at)),
            former_touch=next((Touch(channel=one.channel) for one in MOVES if (one.user, one.seq) == (move.user, move.seq - 1)), None),
        )
    )


def rollup(shard: int, version: int, swept_to: int | None, **rows: Any) -> bytes:
    told: dict[str, Any] = {"touches": [], "new_users": [], "orders": [], "junk_touches": [], **rows}
    return msgspec.json.encode(
        Rollup(
            shard=shard,
            version=version,
            index=0,
            last=True,
            ladder="5r@1",
            detected_at=TO,
            watermark=TO,
            swept_to=swept_to,
            offsets={},
            applied=10,
            duplicates=2,
            junk=sum(row.records for row in told["junk_touches"]),
            late=1,
            dead_letters={"future": 3, "empty": 1},
            forwarded=0,
            ticks=5,
            transitions=len(MOVES) if shard == 0 else 0,
            **told,
        )
    )


@pytest.fixture(scope="module")
def stored(mock_broker: str, clickhouse_url: str) -> tuple[ClickHouse, Log]:
    """The day, stored; shard 3 has not swept yet."""
    log = Log(mock_broker, "star.")
    for index, move in enumerate(MOVES):
        log.send("transitions", 0, transition(move, index))
    log.send("rollups", 0, rollup(0, 1, TURN, new_users=NEW, orders=ORDERS, touches=TOUCHES, junk_touches=JUNK))
    for shard in range(1, PARTITIONS):
        log.send("rollups", shard, rollup(shard, 1, None if shard == 3 else TURN + DAY_MS))
    for spend in SPEND:
        log.send("spend", 1, json.dumps({**spend, "brand": "acme", "currency": "CNY"}).encode())
    log.flush()
    settings = config(mock_broker, log.prefix, clickhouse_url, "star_by_hand")
    run_until_stored(settings, dict.fromkeys(range(PARTITIONS), 1), len(MOVES))
    wait_until(lambda: query(settings.clickhouse, "SELECT count() FROM spend FINAL") == [(3,)], "spend")
    return settings.clickhouse, log


@pytest.fixture
def star(stored: tuple[ClickHouse, Log]) -> Star:
    return Star(stored[0])


def scaling(layer: str, users: int, before: int, new: int, growth: float | None, split: str = "all") -> Scaling:
    return Scaling(split=split, layer=layer, users=users, users_before=before, growth=growth, new_users=new, known_users=users - new)


def test_scaling(star: Star) -> None:
    assert star.scaling("acme", FROM, TO) == [
        scaling("R0", 3, 1, 1, 2.0),
        scaling("R1", 0, 1, 0, -1.0),
        scaling("R2", 0, 1, 0, -1.0),
        scaling("R3", 0, 0, 0, None),
        scaling("R4", 1, 0, 0, None),
        scaling("R5", 1, 0, 1, None),
    ]


def test_scaling_by_channel_adds_up_to_all(star: Star) -> None:
    rows = [row for row in star.scaling("acme", FROM, TO, By.CHANNEL) if row.users or row.users_before]
    assert rows == [
        scaling("R0", 2, 1, 1, 1.0, split=""),
        scaling("R1", 0, 1, 0, -1.0, split="douyin"),
        scaling("R4", 1, 0, 0, None, split="store"),
        scaling("R5", 1, 0, 1, None, split="store"),
        scaling("R0", 1, 0, 0, None, split="tmall"),
        scaling("R2", 0, 1, 0, -1.0, split="tmall"),
    ]


def test_triangulating(star: Star) -> None:
    def row(layer: str, users: int, before: int, crowd: float | None, growth: float | None) -> Triangulating:
        return Triangulating(
            split="all",
            layer=layer,
            users=users,
            users_before=before,
            share=users / 5,
            share_before=before / 3,
            crowd_share=crowd,
            growth=growth,
        )

    assert star.triangulating("acme", FROM, TO) == [
        row("R0", 3, 1, None, 2.0),
        row("R1", 0, 1, 0.0, -1.0),
        row("R2", 0, 1, 0.0, -1.0),
        row("R3", 0, 0, 0.0, None),
        row("R4", 1, 0, 0.5, None),
        row("R5", 1, 0, 0.5, None),
    ]


def test_activating_is_the_full_matrix(star: Star) -> None:
    matrix = {(row.from_layer, row.to_layer): row for row in star.activating("acme", FROM, TO)}
    assert list(matrix) == [(left, entered) for left in LAYERS for entered in LAYERS if left != entered]
    moved = {cell: (row.users, row.users_before, row.rate) for cell, row in matrix.items() if row.users}
    assert moved == {
        ("R0", "R1"): (1, 1, 1.0),
        ("R1", "R3"): (1, 1, 1.0),
        ("R1", "R4"): (1, 1, 1.0),
        ("R2", "R0"): (1, 1, 1.0),
        ("R3", "R4"): (1, 0, None),
        ("R4", "R5"): (1, 0, None),
    }
    assert matrix["R2", "R0"].direction == "reverse"
    assert matrix["R0", "R2"] == Activating(
        split="all", from_layer="R0", to_layer="R2", direction="forward", users=0, transitions=0, users_before=1, rate=0.0
    )


def test_activating_by_channel(star: Star) -> None:
    rows = [(row.split, row.from_layer, row.to_layer) for row in star.activating("acme", FROM, TO, By.CHANNEL) if row.users]
    assert rows == [
        ("douyin", "R0", "R1"),
        ("douyin", "R1", "R4"),
        ("store", "R3", "R4"),
        ("store", "R4", "R5"),
        ("tmall", "R2", "R0"),
        ("wecom", "R1", "R3"),
    ]


def sold(layer: str, stood: int, gmv: int = 0, orders: int = 0, buyers: int = 0, refunds: int = 0, gmv_new: int = 0) -> Returning:
    return Returning(
        split="all",
        layer=layer,
        gmv=gmv,
        gmv_share=gmv / 600,
        refunds=refunds,
        orders=orders,
        buyers=buyers,
        order_value=gmv / orders if orders else None,
        stood=stood,
        conversion_rate=buyers / stood,
        repurchase_week=None,
        repurchase_month=None,
        repurchase_quarter=None,
        spend=None,
        roi=None,
        gmv_new=gmv_new,
        gmv_new_share=gmv_new / gmv if gmv else None,
    )


def test_returning(star: Star) -> None:
    total, *layers = star.returning("acme", FROM, TO)
    assert total == msgspec.structs.replace(
        sold("", stood=5, gmv=600, orders=3, buyers=2, refunds=50, gmv_new=500),
        repurchase_week=1 / 2,
        repurchase_month=1 / 3,
        repurchase_quarter=1 / 3,
        spend=300,
        roi=2.0,
    )
    assert layers == [
        sold("R0", stood=4),
        sold("R1", stood=2, gmv=300, orders=1, buyers=1, refunds=50, gmv_new=300),
        sold("R2", stood=1),
        sold("R3", stood=1, gmv=100, orders=1, buyers=1),
        sold("R4", stood=2, gmv=200, orders=1, buyers=1, gmv_new=200),
        sold("R5", stood=1),
    ]


def test_returning_by_channel_and_campaign(star: Star) -> None:
    channels = {row.split: row for row in star.returning("acme", FROM, TO, By.CHANNEL) if row.layer == ""}
    assert {split: (row.gmv, row.spend, row.roi) for split, row in channels.items()} == {
        "": (0, 0, None),
        "douyin": (300, 200, 1.5),
        "store": (300, 0, None),
        "tmall": (0, 100, 0.0),
    }
    campaigns = {row.split: row for row in star.returning("acme", FROM, TO, By.CAMPAIGN) if row.layer == ""}
    assert {split: (row.gmv, row.spend) for split, row in campaigns.items()} == {"": (600, 200), "c9": (0, 100)}
    stores = {row.split: (row.gmv, row.spend, row.roi) for row in star.returning("acme", FROM, TO, By.STORE) if row.layer == ""}
    assert stores == {"": (600, None, None)}


def test_the_ledger_balances_minute_by_minute(star: Star) -> None:
    lines = star.ledger("acme", FROM, TO)
    assert [line.minute for line in lines[:: len(LAYERS)]] == [at(minute) for minute in (0, 1, 3, 5, 10, 20, 30, 40)]
    standing = {"R0": 1, "R1": 1, "R2": 1, "R3": 0, "R4": 0, "R5": 0}
    for line in lines:
        assert (line.layer, line.opening) == (line.layer, standing[line.layer])
        assert line.opening + line.users_in - line.users_out == line.closing
        standing[line.layer] = line.closing
    assert standing == star.census("acme").layers == {"R0": 3, "R1": 0, "R2": 0, "R3": 0, "R4": 1, "R5": 1}
    come = next(line for line in lines if (line.minute, line.layer) == (at(1), "R0"))
    assert (come.users_in, come.users_out) == (1, 1)


def test_a_period_without_moves_shows_where_everybody_stands(star: Star) -> None:
    assert [(line.layer, line.opening, line.closing) for line in star.ledger("acme", TO, TO + DAY_MS)] == [
        ("R0", 3, 3),
        ("R1", 0, 0),
        ("R2", 0, 0),
        ("R3", 0, 0),
        ("R4", 1, 1),
        ("R5", 1, 1),
    ]
    assert {row.users for row in star.scaling("nobody", FROM, TO)} == {0}


def test_the_sums_of_a_replay(star: Star) -> None:
    assert star.transitions() == star.transitions("acme") == len(MOVES)
    assert star.transitions("other") == 0
    assert star.flows() == {"R0>R1": 2, "R0>R2": 1, "R1>R3": 1, "R1>R4": 1, "R2>R0": 1, "R3>R4": 1, "R4>R5": 1}
    orders = star.orders("acme")
    assert (orders.orders, orders.buyers, orders.gmv, orders.refunds) == (4, 3, 1600, 50)
    steps = star.steps()
    assert (steps.steps, steps.applied, steps.duplicates, steps.junk, steps.dead_letters, steps.ticks) == (4, 40, 8, 10, 16, 20)
    assert star.dead_letters() == {"empty": 4, "future": 12}
    assert star.stored()[1] == Stored(version=1, watermark=TO, swept_to=TURN + DAY_MS)
    assert star.stored()[3] == Stored(version=1, watermark=TO, swept_to=0)
    assert star.stored_offsets()["transitions", 0] == len(MOVES)
    assert star.stored_offsets()["spend", 1] == len(SPEND)
    assert [move.to_layer for move in star.history("acme", "c")] == ["R1", "R4", "R5"]
    assert star.ledger_balances() == star.ledger_balances("acme") == []


def test_junk_is_told_by_channel_beside_what_was_applied(star: Star) -> None:
    clicks = Junk(channel="douyin", type="ad_click", touchpoints=3, junk=6, share=6 / 9)
    likes = Junk(channel="douyin", type="like", touchpoints=0, junk=2, share=1.0)
    unlabelled = Junk(channel="", type="ad_click", touchpoints=0, junk=1, share=1.0)
    assert star.junk("acme", FROM, TO) == star.junk("acme") == [clicks, likes, unlabelled]
    assert star.junk("acme", at(2), TO) == [likes]
    assert star.junk("acme", FROM, at(1)) == star.junk("nobody") == []
    assert sum(row.junk for row in star.junk()) == star.steps().junk


def test_distinct_users_of_touches(stored: tuple[ClickHouse, Log]) -> None:
    assert query(stored[0], "SELECT sum(touchpoints), uniqMerge(users) FROM touch_minutes") == [(3, 2)]
    moved = query(stored[0], "SELECT uniqMerge(users) FROM (SELECT users FROM flow_minutes UNION ALL SELECT users FROM touch_minutes)")
    assert moved == [(4,)]


def test_what_the_screen_ranks(stored: tuple[ClickHouse, Log]) -> None:
    sums = "SELECT dimension, label, sum(orders), sum(gmv), sum(gmv_new), sum(refunds), uniqMerge(buyers) FROM order_minutes"
    assert query(stored[0], f"{sums} WHERE dimension IN ('all', 'layer', 'channel') GROUP BY ALL ORDER BY ALL") == [
        ("all", "", 4, 1600, 1600, 50, 3),
        ("channel", "douyin", 1, 300, 300, 50, 1),
        ("channel", "store", 2, 300, 300, 0, 2),
        ("channel", "tmall", 1, 1000, 1000, 0, 1),
        ("layer", "R0", 1, 1000, 1000, 0, 1),
        ("layer", "R1", 1, 300, 300, 0, 1),
        ("layer", "R3", 1, 100, 100, 0, 1),
        ("layer", "R4", 1, 200, 200, 0, 1),
        ("layer", "R5", 0, 0, 0, 50, 0),
    ]
    moves = "SELECT label, direction, sum(transitions), uniqMerge(users) FROM move_minutes"
    assert query(stored[0], f"{moves} WHERE dimension = 'channel' GROUP BY ALL ORDER BY ALL") == [
        ("douyin", "forward", 3, 2),
        ("store", "forward", 2, 2),
        ("tmall", "forward", 1, 1),
        ("tmall", "reverse", 1, 1),
        ("wecom", "forward", 1, 1),
    ]
    standing = "SELECT user_id, argMax(to_layer, seq), argMax(channel, seq) FROM user_layers GROUP BY user_id ORDER BY user_id"
    assert query(stored[0], standing) == [("a", "R4", "store"), ("b", "R0", "tmall"), ("c", "R5", "store")]


def test_minutes_are_provisional_until_every_shard_has_swept_past_them(stored: tuple[ClickHouse, Log], mock_broker: str) -> None:
    clickhouse, log = stored
    assert {line.provisional for line in Star(clickhouse).ledger("acme", FROM, TO)} == {True}
    log.send("rollups", 3, rollup(3, 2, at(20)))
    log.flush()
    run_until_stored(config(mock_broker, log.prefix, clickhouse.url, clickhouse.database), {3: 2}, len(MOVES))
    assert Star(clickhouse).census("acme").final_before == at(20)
    assert {line.minute: line.provisional for line in Star(clickhouse).ledger("acme", FROM, TO)} == {
        at(minute): minute >= 20 for minute in (0, 1, 3, 5, 10, 20, 30, 40)
    }


@pytest.mark.parametrize("brand", ["acme' OR 1=1 --", "{to:String}", "\\", "a\n\tb", "安踏"])
def test_values_are_bound(star: Star, brand: str) -> None:
    assert {row.users for row in star.scaling(brand, FROM, TO)} == {0}
    assert star.history(brand, brand) == []
    assert star.transitions(brand) == 0


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("INSERT INTO transitions SELECT * FROM transitions WHERE user_id = 'c' AND seq = 2", "user c"),
        ("INSERT INTO flow_minutes SELECT * FROM flow_minutes WHERE from_layer = 'R1' AND to_layer = 'R4'", "R1 at "),
        ("INSERT INTO flow_minutes SELECT * FROM flow_minutes WHERE from_layer = 'R1' AND to_layer = 'R4'", "flow_minutes"),
        ("INSERT INTO transitions SELECT * FROM transitions WHERE user_id = 'c' AND seq = 2", "shard 0"),
        ("INSERT INTO new_users SELECT * FROM new_users LIMIT 1", ""),
        ("ALTER TABLE transitions DELETE WHERE user_id = 'c' AND seq = 2 SETTINGS mutations_sync = 2", "user c"),
    ],
)
def test_a_doubled_or_lost_row_does_not_balance(
    statement: str, where: str, mock_broker: str, stored: tuple[ClickHouse, Log], database: str
) -> None:
    settings = config(mock_broker, "star.", stored[0].url, database)
    run_until_stored(settings, dict.fromkeys(range(PARTITIONS), 1), len(MOVES))
    with Star(settings.clickhouse) as star:
        assert star.ledger_balances() == []
        star._client.command(statement)
        violations = star.ledger_balances()
    if where:
        assert any(where in violation.where for violation in violations), violations
    else:
        # users that were never seen stand in the lowest layer on both sides of the account: only Redis can tell
        assert violations == []
