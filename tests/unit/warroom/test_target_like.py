"""A target after an earlier promotion comes to what was sold then, grown."""

from __future__ import annotations

import pytest

from tests.unit.warroom.test_progress import cell, heads
from warroom.promotions.target_like import NothingSold, target_like


def test_it_comes_to_what_was_sold_grown() -> None:
    cells = [cell("R3", "tmall", "", 30, 300_000), cell("R3", "jd", "", 10, 100_000), cell("R4", "jd", "", 5, 60_000)]
    found = target_like(cells, [heads("R3", "tmall", "", 300), heads("R3", "wecom", "", 100), heads("R4", "", "", 2)], 1.5, "li")
    assert [(row.layer, row.headcount, row.conversion_rate, row.order_value) for row in found.layers] == [
        ("R3", 600, 0.1, 10_000),
        ("R4", 8, 1.0, 12_000),
    ]
    assert found.gmv == pytest.approx(1.5 * 460_000, rel=0.06)
    assert found.owner == "li"


def test_out_of_nothing_comes_no_target() -> None:
    with pytest.raises(NothingSold, match="expected an earlier promotion with sales"):
        target_like([cell("R3", "tmall", "", 3, 0)], [], 1.0, "li")
