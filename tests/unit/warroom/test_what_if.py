"""Edits say what they change in words, and what they would come to is seen before anything is saved."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import Promotion
from tests.unit.warroom.promotions_by_hand import TREE, promotion
from warroom.pacing import Projection
from warroom.targets import cells
from warroom.what_if import FIELDS, EditError, edited, what_if


def factors(promotion: Promotion) -> dict[str, tuple[float, float, float]]:
    return {cell.path: (f.headcount, f.conversion_rate, f.order_value) for cell, f in cells(promotion.target).items()}


BEFORE = factors(promotion())


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        ("tmall/R3/conversion_rate=6%", {"tmall/R3": (5_000, 0.06, 20_000)}),
        ("tmall/R3/conversion_rate=0.06", {"tmall/R3": (5_000, 0.06, 20_000)}),
        ("tmall/R2/headcount=12,000", {"tmall/R2": (12_000, 0.02, 10_000)}),
        ("store/sh-017/R3/order_value=x1.1", {"store/sh-017/R3": (1_000, 0.1, 33_000)}),
        ("store/*/R3/headcount=x2", {"store/sh-017/R3": (2_000, 0.1, 30_000), "store/bj-002/R3": (1_000, 0.2, 30_000)}),
        ("tmall/*/conversion_rate=x0.5", {"tmall/R2": (10_000, 0.01, 10_000), "tmall/R3": (5_000, 0.04, 20_000)}),
        (
            "*/R3/headcount=7",
            {"tmall/R3": (7, 0.08, 20_000), "store/sh-017/R3": (7, 0.1, 30_000), "store/bj-002/R3": (7, 0.2, 30_000)},
        ),
    ],
)
def test_an_edit_changes_what_its_path_names_and_nothing_else(edit: str, changes: dict[str, tuple[float, float, float]]) -> None:
    assert factors(edited(promotion(), [edit])) == {**BEFORE, **changes}


def test_owners_and_name() -> None:
    changed = edited(promotion(), ["tmall/owner=zhou", "owner=lin", "name=618"])
    assert (changed.target.owner, changed.target.parts[0].owner, changed.target.parts[1].owner, changed.name) == (
        "lin",
        "zhou",
        "wang",
        "618",
    )
    assert factors(changed) == BEFORE


def test_edits_are_made_one_after_another() -> None:
    assert factors(edited(promotion(), ["tmall/R3/headcount=100", "tmall/R3/headcount=x3"]))["tmall/R3"][0] == 300


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("tmall/R3/conversion_rate", "expected PATH=VALUE"),
        ("tmall//headcount=3", "expected PATH=VALUE"),
        ("tmall/R3/conversion_rate=", "expected PATH=VALUE"),
        ("tmall/R3/rate=3", "a path that ends with headcount, conversion_rate, order_value or owner, found 'rate'"),
        ("jd/R3/headcount=3", "expected a path that this promotion has .tmall/R2/"),
        ("store/R3/headcount=3", "expected a path that this promotion has .tmall/R2/"),
        ("jd/owner=x", "expected a path that this promotion has .owner, tmall/owner"),
        ("tmall/R3/headcount=12.5", "a whole number"),
        ("tmall/R3/headcount=8%", "found a percentage"),
        ("tmall/R3/headcount=-3", "0 or more"),
        ("tmall/R3/headcount=nan", "0 or more"),
        ("tmall/R3/headcount=many", "a number"),
        ("tmall/R3/conversion_rate=8", "a rate from 0 to 1"),
        ("tmall/R3/conversion_rate=x20", "a rate from 0 to 1"),
        (f"name={'x' * 129}", "128"),
    ],
)
def test_a_mistake_says_what_was_expected(edit: str, message: str) -> None:
    with pytest.raises(EditError, match=message):
        edited(promotion(), [edit])


@given(
    st.lists(
        st.tuples(st.sampled_from([*BEFORE, "*/R3", "*"]), st.sampled_from(FIELDS), st.sampled_from(["0", "1", "x0.5", "x0.9"])),
        max_size=5,
    )
)
def test_an_edited_promotion_is_a_promotion(parts: list[tuple[str, str, str]]) -> None:
    changed = edited(promotion(), [f"{path}/{field}={value}" for path, field, value in parts])
    assert msgspec.json.decode(msgspec.json.encode(changed), type=Promotion) == changed
    assert (changed.version, changed.changed_by, changed.window) == (1, "chen", promotion().window)


def test_what_if_shows_the_new_target_and_how_the_day_would_end() -> None:
    projected = Projection(actual=6_000_000, end=14_000_000, low=13_000_000, high=15_000_000)
    found = what_if(promotion(), ["tmall/R3/conversion_rate=12%"], projected)
    assert (found.target_before, found.target_after) == (16_000_000, 20_000_000)
    assert [(one.path, one.gmv_before, one.gmv_after) for one in found.changed] == [("tmall/R3", 8_000_000, 12_000_000)]
    assert found.projected_after == Projection(actual=6_000_000, end=16_000_000, low=14_750_000, high=17_250_000)
    assert found.projected_before == projected


def test_what_if_before_the_day_projects_nothing() -> None:
    assert what_if(promotion(), ["name=x"], None).projected_after is None
    assert what_if(promotion(), ["name=x"], None).changed == ()
    assert promotion().target == TREE
