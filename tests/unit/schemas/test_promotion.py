"""A promotion's target is the sum of its parts, and its plan says how much of it is due when."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import LayerTarget, PlanPoint, Promotion, Target
from schemas.times import MINUTE_MS
from tests.unit.schemas.example_files import SCHEMAS

VALID = SCHEMAS / "examples" / "promotions" / "valid"


def promotion(name: str = "first_version") -> Promotion:
    return msgspec.json.decode((VALID / f"{name}.json").read_bytes(), type=Promotion)


def test_gmv_is_headcount_times_conversion_rate_times_order_value() -> None:
    assert LayerTarget(layer="R3", headcount=90_000, conversion_rate=0.08, order_value=41_000).gmv == 295_200_000


def test_a_target_is_the_sum_of_its_parts() -> None:
    target = promotion().target
    tmall, stores = target.parts
    assert tmall.gmv == 256_000_000 + 295_200_000 + 374_400_000
    assert stores.gmv == sum(store.gmv for store in stores.parts) == 30_600_000 + 29_120_000 + 19_200_000
    assert target.gmv == tmall.gmv + stores.gmv


def test_a_change_of_one_leaf_moves_the_root_by_as_much() -> None:
    before, after = promotion().target, promotion("target_changed_while_running").target
    assert after.gmv - before.gmv == round(800 * 91_000 * 0.3) - round(800 * 91_000 * 0.4)


def test_without_a_plan_the_target_is_due_evenly() -> None:
    even = promotion("smallest")
    begin = even.window.from_ms
    assert even.minutes == 1440
    assert even.share_at(begin - 1) == 0
    assert even.share_at(begin) == 0
    assert even.share_at(begin + 360 * MINUTE_MS) == 0.25
    assert even.share_at(even.window.to_ms) == 1


def test_a_plan_runs_straight_between_its_points() -> None:
    planned = promotion()
    begin = planned.window.from_ms
    for point in planned.plan[:-1]:
        assert planned.share_at(begin + point.minute * MINUTE_MS) == pytest.approx(point.share)
    assert planned.share_at(begin + (8640 + 24480) // 2 * MINUTE_MS) == pytest.approx(0.11)


@given(minutes=st.lists(st.integers(-10, 50_000), min_size=2))
def test_what_is_due_never_falls(minutes: list[int]) -> None:
    planned = promotion()
    due = [planned.share_at(planned.window.from_ms + minute * MINUTE_MS) for minute in sorted(minutes)]
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] <= 1


def test_a_mistake_says_what_was_expected_and_found() -> None:
    with pytest.raises(ValueError, match="expected either `layers` or `parts` for the target of 'chen', found neither"):
        Target(owner="chen")
    with pytest.raises(ValueError, match="expected a plan from minute 0 to share 1 at minute 1440, found PlanPoint"):
        msgspec.structs.replace(promotion("smallest"), plan=(PlanPoint(0, 0.0), PlanPoint(1440, 0.5)))
