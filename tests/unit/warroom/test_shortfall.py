"""A shortfall is the sum of what its factors cost, whatever the figures, and its sentence names the largest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.warroom.promotions_by_hand import TREE
from warroom.shortfall import Factor, Sold, effects, shortfall
from warroom.shortfall_sentence import sentence
from warroom.targets import Cell, Factors, Scope, cells
from warroom.wording import Language

TARGET = cells(TREE)
LABELS = {"tmall": {"zh": "天猫", "en": "Tmall"}, "store": {"zh": "门店", "en": "Store"}}


def label(scope: Scope, language: Language) -> str:
    name = LABELS[scope.channel][language] if scope.channel else ""
    return f"{name} {scope.store_id}" if scope.store_id else name


def as_planned(share: float = 1.0) -> dict[Cell, Sold]:
    return {
        cell: Sold(int(f.headcount), round(f.orders * share), round(f.orders * share) * int(f.order_value)) for cell, f in TARGET.items()
    }


figures = st.floats(0, 1e7)
triples = st.tuples(figures, st.floats(0, 3), figures)


@given(triples, triples)
def test_the_effects_add_up_exactly(planned: tuple[float, float, float], actual: tuple[float, float, float]) -> None:
    difference = planned[0] * planned[1] * planned[2] - actual[0] * actual[1] * actual[2]
    scale = max(planned[0], actual[0]) * max(planned[1], actual[1]) * max(planned[2], actual[2])
    assert sum(effects(planned, actual)) == pytest.approx(difference, abs=1e-12 * scale + 1e-9)


@given(triples, triples)
def test_an_effect_has_the_sign_of_its_difference(planned: tuple[float, float, float], actual: tuple[float, float, float]) -> None:
    for effect, p, a in zip(effects(planned, actual), planned, actual, strict=True):
        assert effect * (p - a) >= 0


@given(triples, triples)
def test_no_factor_is_preferred(planned: tuple[float, float, float], actual: tuple[float, float, float]) -> None:
    one, two, three = effects(planned, actual)
    turned = effects((planned[1], planned[2], planned[0]), (actual[1], actual[2], actual[0]))
    assert turned == pytest.approx((two, three, one))


@given(
    st.dictionaries(
        st.sampled_from(list(TARGET)),
        st.builds(Sold, st.integers(0, 20_000), st.integers(0, 2_000), st.integers(0, 10**8)).filter(lambda s: s.orders > 0 or s.gmv == 0),
    ),
    st.floats(0, 1),
    st.integers(0, 10**7),
)
def test_contributions_and_what_was_sold_outside_make_the_gap(sold: dict[Cell, Sold], share: float, outside: int) -> None:
    found = shortfall(TARGET, share, sold, outside)
    assert found.missing == pytest.approx(found.planned - found.actual)
    assert sum(one.missing for one in found.contributions) - found.outside == pytest.approx(found.missing, abs=1e-3)
    assert sum(found.by_scope().values()) == pytest.approx(sum(one.missing for one in found.contributions), abs=1e-3)
    assert len(found.contributions) == 3 * len(TARGET)


def test_too_low_a_rate_is_told_with_its_channel() -> None:
    sold = {**as_planned(), Cell(Scope("tmall"), "R3"): Sold(5_000, 305, 6_100_000)}
    found = shortfall(TARGET, 1.0, sold)
    first = found.contributions[0]
    assert (first.scope, first.layer, first.factor) == (Scope("tmall"), "R3", Factor.CONVERSION_RATE)
    assert first.missing == pytest.approx(1_900_000)
    assert (
        sentence(found, label)
        == "比计划少 ¥1.9万（计划 ¥16.0万，实际 ¥14.1万）：主要因为 天猫 R3 转化率 6.1%（计划 8.0%），天猫占缺口的 100%"
    )
    assert sentence(found, label, language="en") == (
        "¥19.0K below plan (¥141.0K against ¥160.0K), mainly because of Tmall R3 conversion rate 6.1% (plan 8.0%); Tmall is 100% of the gap"
    )


def test_too_few_heads_and_too_small_orders_are_told_apart() -> None:
    cell = Cell(Scope(), "R3")
    few = shortfall({cell: Factors(1_000, 0.1, 10_000)}, 1.0, {cell: Sold(500, 50, 500_000)})
    assert sentence(few, label) == "比计划少 ¥5,000（计划 ¥1.0万，实际 ¥5,000）：主要因为 R3 人数 500（计划 1,000）"
    small = shortfall({cell: Factors(1_000, 0.1, 10_000)}, 1.0, {cell: Sold(1_000, 100, 500_000)})
    assert sentence(small, label) == "比计划少 ¥5,000（计划 ¥1.0万，实际 ¥5,000）：主要因为 R3 笔单价 ¥50（计划 ¥100）"


def test_the_rate_is_held_against_what_is_due_by_now() -> None:
    assert sentence(shortfall(TARGET, 0.5, as_planned(0.5)), label) == "与计划持平：实际 ¥8.0万，计划 ¥8.0万"
    half = shortfall(TARGET, 0.5, as_planned(0.25))
    assert half.planned == 8_000_000
    assert "转化率 2.0%（计划 4.0%）" in sentence(half, label)


def test_more_than_planned_is_told_too() -> None:
    more = {**as_planned(), Cell(Scope("tmall"), "R3"): Sold(5_000, 600, 12_000_000)}
    assert sentence(shortfall(TARGET, 1.0, more), label).startswith(
        "比计划多 ¥4.0万（计划 ¥16.0万，实际 ¥20.0万）：主要因为 天猫 R3 转化率 12.0%"
    )


def test_a_channel_that_others_make_up_for_is_told_in_money() -> None:
    sold = {
        **as_planned(),
        Cell(Scope("tmall"), "R3"): Sold(5_000, 0, 0),
        Cell(Scope("store", "sh-017"), "R3"): Sold(1_000, 200, 6_000_000),
    }
    assert sentence(shortfall(TARGET, 1.0, sold), label).endswith("，天猫一处就少 ¥8.0万")


def test_before_anything_is_due_nothing_is_missing() -> None:
    assert sentence(shortfall(TARGET, 0.0, {}), label) == "尚未开始，还没有到期的目标"
    assert sentence(shortfall(TARGET, 0.0, {}, outside=500_000), label, language="en") == "Not begun: nothing is due yet; ¥5,000 sold"


def test_what_is_sold_outside_the_target_is_no_cause_of_a_cell() -> None:
    found = shortfall(TARGET, 1.0, as_planned(), outside=1_000_000)
    assert (found.missing, found.outside) == (-1_000_000, 1_000_000)
    assert sentence(found, label) == "比计划多 ¥1.0万（计划 ¥16.0万，实际 ¥17.0万），都来自目标之外的渠道或分层"


def test_orders_without_heads_are_laid_to_the_rate() -> None:
    cell = Cell(Scope("tmall"), "R3")
    found = shortfall({cell: TARGET[cell]}, 1.0, {cell: Sold(0, 100, 2_000_000)})
    by_factor = {one.factor: one.missing for one in found.contributions}
    assert by_factor == {Factor.HEADCOUNT: 0, Factor.ORDER_VALUE: 0, Factor.CONVERSION_RATE: pytest.approx(6_000_000)}
    assert found.contributions[0].actual is None
