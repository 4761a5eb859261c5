"""The snapshot's figures out of rows, worked out by hand."""

from __future__ import annotations

import pytest

from schemas.times import DAY_MS, MINUTE_MS
from warroom.live.assemble import BrandFacts, assemble
from warroom.live.freshness import Freshness
from warroom.live.live import day_of
from warroom.live.reader import SERIES_MINUTES, Figures, Row, end_of
from warroom.live.snapshot import AsOf, Snapshot

WATERMARK = 1_794_355_230_000
END = end_of(WATERMARK)
FACTS = BrandFacts(
    brand="acme",
    currency="CNY",
    time_zone="Asia/Shanghai",
    layers=("R0", "R1", "R4"),
    headcount={"R0": 40, "R1": 50, "R4": 10},
    watermark=WATERMARK,
    day=day_of(WATERMARK, "Asia/Shanghai"),
)
AS_OF = AsOf(computed_at=1, watermark=WATERMARK, watermark_low=WATERMARK, version=3, headcount_at=1, final_before=None)


def flow(left: str, entered: str, short: int, middle: int, long: int) -> Row:
    cell: Row = {"from_layer": left, "to_layer": entered}
    for size, count in (("short", short), ("middle", middle), ("long", long)):
        cell |= {f"users_{size}": count, f"moves_{size}": count}
    return cell


def usual(left: str, entered: str, transitions: int, hours: int) -> Row:
    return {"from_layer": left, "to_layer": entered, "transitions": transitions, "earliest": END - (hours + 1) * 60 * MINUTE_MS}


def minute(ago: int, **given: int) -> Row:
    names = ("orders", "gmv", "gmv_new", "refunds", "buyers", "new_users", "touches", "forward", "reverse")
    return {"minute": END - (ago + 1) * MINUTE_MS, **dict.fromkeys(names, 0), **given}


def snapshot(**given: list[Row]) -> Snapshot:
    rows: dict[str, list[Row]] = {"flows": [], "usual": [], "minutes": [], "rankings": [], "today": [], **given}
    return assemble(FACTS, Figures(end=END, **rows), AS_OF, Freshness(live=True, causes=[]), 7)


def test_the_ladder_and_its_change_over_the_hour() -> None:
    told = snapshot(
        flows=[flow("R0", "R1", 5, 10, 20), flow("R1", "R4", 1, 2, 4)], minutes=[minute(3, new_users=30), minute(70, new_users=9)]
    )
    assert told.users == 100
    assert [(r.layer, r.users, r.share, r.crowd_share, r.entered, r.left, r.change) for r in told.ladder] == [
        ("R0", 40, 0.4, None, 30, 20, 10),
        ("R1", 50, 0.5, 50 / 60, 20, 4, 16),
        ("R4", 10, 0.1, 10 / 60, 4, 0, 4),
    ]


def test_rates_are_over_those_who_stood_there_when_the_window_began() -> None:
    told = snapshot(flows=[flow("R0", "R1", 5, 10, 20), flow("R1", "R4", 1, 2, 4)], minutes=[minute(3, new_users=30)])
    short, _, hour = told.flows
    assert (short.minutes, short.begins, short.ends) == (5, END - 5 * MINUTE_MS, END)
    # 40 stand on R0: 5 have left and 30 come within five minutes
    assert [(f.from_layer, f.to_layer, f.users, f.rate) for f in short.flows] == [("R0", "R1", 5, 5 / 15), ("R1", "R4", 1, 1 / 46)]
    assert hour.flows[0].rate == 20 / 30
    assert {f.usual for f in hour.flows} == {None}


def test_a_flow_stands_beside_the_usual_also_when_it_has_stopped() -> None:
    told = snapshot(flows=[flow("R0", "R1", 10, 10, 10)], usual=[usual("R0", "R1", 2400, 10), usual("R1", "R0", 600, 10)])
    flows = {(f.from_layer, f.to_layer): f for f in told.flows[0].flows}
    # four and a half minutes of the window have passed: 2400 in 600 minutes are 18 in them
    assert flows["R0", "R1"].usual == 18
    assert flows["R0", "R1"].against_usual == pytest.approx(10 / 18)
    assert flows["R0", "R1"].usual_rate == 18 / 50
    stopped = flows["R1", "R0"]
    assert (stopped.direction, stopped.users, stopped.usual, stopped.against_usual) == ("reverse", 0, 4.5, 0)


def test_an_earlier_day_of_less_than_an_hour_says_nothing() -> None:
    row = {**usual("R0", "R1", 9, 0), "earliest": END - 100 * MINUTE_MS}
    assert snapshot(flows=[flow("R0", "R1", 1, 1, 1)], usual=[row]).flows[0].flows[0].usual is None


def test_minutes_without_rows_are_zero() -> None:
    told = snapshot(minutes=[minute(0, orders=2, gmv=300, touches=5, reverse=1), minute(SERIES_MINUTES - 1, forward=4)]).minutes
    assert told.begins == END - SERIES_MINUTES * MINUTE_MS
    assert (len(told.orders), told.orders[-1], sum(told.gmv), told.touches[-1]) == (SERIES_MINUTES, 2, 300, 5)
    assert (told.moves_forward[0], told.moves_reverse[-1]) == (4, 1)


def test_today_and_the_rankings() -> None:
    def row(what: str, label: str = "", **given: int) -> Row:
        return {"what": what, "label": label, "orders": 0, "buyers": 0, "gmv": 0, "gmv_new": 0, "refunds": 0, **given}

    ranked: Row = {"label": "douyin", "users_forward": 3, "users_reverse": 1, "orders": 2, "buyers": 2, "gmv": 9, "gmv_new": 1}
    told = snapshot(
        today=[
            row("all", orders=4, buyers=3, gmv=1000, gmv_new=250, refunds=10),
            row("layer", "R1", orders=4, buyers=3, gmv=1000),
            row("channel", "douyin", gmv=600),
            row("channel", "", gmv=400),
            row("spend", "douyin", gmv=200),
            row("spend", "jd", gmv=50),
            row("moves", orders=8, buyers=2),
            row("new_users", orders=6),
        ],
        rankings=[{"dimension": "channel", **ranked}, {"dimension": "guide", **ranked, "label": "g1"}],
    )
    day = told.today
    assert (day.order_value, day.gmv_new_share, day.spend, day.roi, day.new_users, day.moves_forward) == (250, 0.25, 250, 4, 6, 8)
    assert [(c.channel, c.spend, c.gmv, c.roi) for c in day.channels] == [("douyin", 200, 600, 3), ("", 0, 400, None), ("jd", 50, 0, 0)]
    assert [(row.layer, row.gmv) for row in day.layers] == [("R0", 0), ("R1", 1000), ("R4", 0)]
    assert ([r.label for r in told.rankings.channels], [r.label for r in told.rankings.guides]) == (["douyin"], ["g1"])
    assert told.rankings.stores == []


def test_the_day_begins_at_midnight_of_the_brand() -> None:
    assert day_of(1_794_326_400_000 + 1, "Asia/Shanghai") == 1_794_326_400_000
    assert day_of(1_794_326_400_000 - 1, "Asia/Shanghai") == 1_794_326_400_000 - DAY_MS
