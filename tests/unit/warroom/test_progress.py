"""Original plan, current plan and actual stand side by side, and every order sold is in one cell or outside."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import Promotion, Target
from schemas.times import DAY_MS, MINUTE_MS
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion, version
from warroom.beside import beside
from warroom.progress import Actual, Progress, needs_stores, progress, sold_by_cell
from warroom.sales import CellSales, Heads, MinuteSales
from warroom.targets import Cell, Scope
from warroom.what_if import edited
from warroom.wording import Language


def label(scope: Scope, _language: Language) -> str:
    return scope.path


def minute(n: int, orders: int, gmv: int, buyers_so_far: int) -> MinuteSales:
    return MinuteSales(minute=at(n), orders=orders, gmv=gmv, refunded=0, buyers_so_far=buyers_so_far)


def cell(layer: str, channel: str, store: str, orders: int, gmv: int) -> CellSales:
    return CellSales(layer=layer, channel=channel, store_id=store, orders=orders, gmv=gmv, refunded=0)


def heads(layer: str, channel: str, store: str, users: int) -> Heads:
    return Heads(layer=layer, channel=channel, store_id=store, users=users)


ACTUAL = Actual(
    minutes=[minute(n, 1, 10_000, min(n + 1, 300)) for n in range(360)],
    cells=[cell("R3", "tmall", "", 300, 3_000_000), cell("R3", "store", "sh-017", 50, 500_000), cell("R5", "tmall", "", 10, 100_000)],
    heads=[heads("R3", "tmall", "", 4_000), heads("R3", "tmall", "s1", 500), heads("R3", "store", "sh-017", 900), heads("R1", "jd", "", 7)],
)


def shown(versions: list[Promotion], minute_of_day: int, actual: Actual = ACTUAL) -> Progress:
    return progress(versions, actual, at(minute_of_day), currency="CNY", label=label)


def test_plans_and_actual_side_by_side() -> None:
    lowered = edited(version(2, 300), ["tmall/R3/conversion_rate=4%"])
    found = shown([promotion(), lowered], 360)
    assert (found.original_version, found.version, found.newest_version, found.share_due) == (1, 2, 2, 0.25)
    gmv = found.gmv
    assert (gmv.original, gmv.current, gmv.original_so_far, gmv.current_so_far) == (16e6, 12e6, 4e6, 3e6)
    assert (gmv.actual, gmv.pace) == (3_600_000, 1.2)
    assert gmv.projected is not None
    assert gmv.projected.end == pytest.approx(14_400_000)
    assert (found.orders.original, found.orders.current, found.orders.actual) == (800, 600, 360)
    assert found.buyers.actual == 300
    assert (found.order_value.original, found.order_value.current, found.order_value.actual) == (20_000, 20_000, 10_000)
    tmall = found.cells[1]
    assert (tmall.path, tmall.owner, tmall.actual_headcount, tmall.actual_orders, tmall.actual_gmv) == (
        "tmall/R3",
        "li",
        4_500,
        300,
        3_000_000,
    )
    assert tmall.original is not None
    assert (tmall.original.conversion_rate, tmall.current.conversion_rate) == (0.08, 0.04)
    assert tmall.actual_rate == pytest.approx(300 / 4_500)
    assert found.outside == 100_000
    assert found.shortfall.actual == gmv.actual
    assert found.shortfall.missing == pytest.approx(gmv.current_so_far - gmv.actual)
    assert found.sentence["zh"].startswith("比计划多 ¥6,000（计划 ¥3.0万，实际 ¥3.6万）")


def test_a_version_that_is_yet_to_take_effect_is_not_in_force() -> None:
    found = shown([promotion(), edited(version(2, 720), ["tmall/R3/conversion_rate=4%"])], 360)
    assert (found.version, found.newest_version, found.gmv.current) == (1, 2, 16e6)


def test_before_it_begins_and_after_it_is_over() -> None:
    nothing = Actual(minutes=[], cells=[], heads=[])
    before = shown([promotion()], -60, nothing)
    assert (before.gmv.actual, before.gmv.pace, before.gmv.projected, before.order_value.actual) == (0, None, None, None)
    after = shown([promotion()], DAY + 60)
    assert after.gmv.projected is not None
    assert (after.gmv.projected.end, after.gmv.projected.low, after.gmv.projected.high) == (3_600_000,) * 3


def test_it_can_be_told_as_json() -> None:
    told = msgspec.json.decode(msgspec.json.encode(shown([promotion()], 360)))
    assert told["cells"][1]["path"] == "tmall/R3"
    assert told["shortfall"]["contributions"][0]["scope"] in (["tmall", None], ["store", "sh-017"], ["store", "bj-002"])


def test_a_cell_that_a_change_took_away_counts_as_outside() -> None:
    shrunk = msgspec.structs.replace(promotion(), target=msgspec.structs.replace(promotion().target, parts=promotion().target.parts[:1]))
    sold, outside = sold_by_cell(shrunk, ACTUAL)
    assert set(sold) == {Cell(Scope("tmall"), "R2"), Cell(Scope("tmall"), "R3")}
    assert outside == 600_000


@given(
    st.lists(
        st.builds(
            cell,
            st.sampled_from(["R1", "R2", "R3", "R4"]),
            st.sampled_from(["tmall", "store", "jd", ""]),
            st.sampled_from(["", "sh-017", "bj-002", "gz-001"]),
            st.integers(1, 100),
            st.integers(0, 10**6),
        )
    )
)
def test_every_order_counts_once(rows: list[CellSales]) -> None:
    sold, outside = sold_by_cell(promotion(), Actual(minutes=[], cells=rows, heads=[]))
    assert sum(one.gmv for one in sold.values()) + outside == sum(row.gmv for row in rows)


def test_only_targets_of_stores_need_headcounts_by_store() -> None:
    assert needs_stores(promotion())
    channels = Target(owner="x", parts=promotion().target.parts[:1])
    assert not needs_stores(promotion(target=channels))


def test_minutes_stand_beside_the_same_clock_time() -> None:
    earlier_from = BEGIN - 146 * DAY_MS
    earlier = promotion(
        window=msgspec.convert({"from": "2026-06-18T00:00:00.000Z", "to": "2026-06-19T00:00:00.000Z"}, type(promotion().window)),
        effective_from="2026-06-18T00:00:00.000Z",
    )
    assert earlier.window.from_ms == earlier_from
    then = MinuteSales(minute=earlier_from + MINUTE_MS, orders=7, gmv=70, refunded=0, buyers_so_far=7)
    found = beside(promotion(), [minute(0, 1, 10, 1)], earlier, [then], at(2))
    assert (found.begins, found.earlier_begins, found.earlier_id) == (BEGIN, earlier_from, "d11")
    assert (found.orders, found.gmv) == ([1, 0], [10, 0])
    assert (found.earlier_orders[:3], found.earlier_gmv[:3], len(found.earlier_gmv)) == ([0, 7, 0], [0, 70, 0], DAY)
    assert len(beside(promotion(), [], earlier, [], at(10 * DAY)).orders) == DAY


def test_steps_beside_each_other_hold_their_minutes() -> None:
    found = beside(promotion(), [minute(n, 1, 10, n) for n in range(12)], None, [], at(12), 5)
    assert (found.orders, found.gmv, found.earlier_begins, found.earlier_gmv) == ([5, 5, 2], [50, 50, 20], None, [])
