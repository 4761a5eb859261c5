"""A target tree is the sum of its cells, and an order falls under one of them."""

from __future__ import annotations

from schemas.promotion import Target
from tests.unit.warroom.promotions_by_hand import TREE, at, promotion, row, version
from warroom.pacing import original_gmv, planned_gmv
from warroom.targets import Cell, Factors, Scope, cells, covering, in_force, owners, planned_orders


def test_the_cells_add_up_to_the_target() -> None:
    found = cells(TREE)
    assert [cell.path for cell in found] == ["tmall/R2", "tmall/R3", "store/sh-017/R3", "store/bj-002/R3"]
    assert sum(factors.gmv for factors in found.values()) == TREE.gmv == 16_000_000
    assert planned_orders(TREE) == 200 + 400 + 100 + 100
    assert owners(TREE) == {Scope("tmall"): "li", Scope("store", "sh-017"): "zhao", Scope("store", "bj-002"): "sun"}


def test_a_tree_of_one_leaf_covers_the_brand() -> None:
    alone = Target(owner="chen", layers=(row("R3", 10, 0.5, 100),))
    assert cells(alone) == {Cell(Scope(), "R3"): Factors(10, 0.5, 100)}
    assert [cell.path for cell in cells(alone)] == ["R3"]
    assert Scope(None, "sh-017").path == "-/sh-017"


def test_an_order_counts_for_the_narrowest_leaf_that_covers_it() -> None:
    scopes = [Scope("store"), Scope(None, "sh-017"), Scope("store", "sh-017"), Scope("tmall")]
    assert covering(scopes, "store", "sh-017") == Scope("store", "sh-017")
    assert covering(scopes, "store", "gz-001") == Scope("store")
    assert covering(scopes, "tmall", "") == Scope("tmall")
    assert covering(scopes, "wecom", "sh-017") == Scope(None, "sh-017")
    assert covering(scopes, "jd", "") is None
    assert covering([Scope()], "", "") == Scope()


def test_a_change_counts_from_its_minute() -> None:
    doubled = Target(owner="chen", layers=(row("R3", 32_000, 0.1, 10_000),))
    versions = [promotion(), version(2, 720, target=doubled)]
    assert [in_force(versions, at(minute)).version for minute in (-10, 0, 719, 720, 2000)] == [1, 1, 1, 2, 2]
    assert planned_gmv(versions, at(719)) == 16_000_000 * 719 / 1440
    assert planned_gmv(versions, at(720)) == 32_000_000 / 2
    assert original_gmv(versions, at(720)) == 16_000_000 / 2
    assert planned_gmv(versions, at(1440)) == 32_000_000
