"""Promotions that the tests of the war room share."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.promotion import LayerTarget, Promotion, Target, Window
from schemas.times import MINUTE_MS, to_rfc3339

BEGIN = 1_794_355_200_000
"""2026-11-11 00:00 UTC."""
DAY = 1440


def at(minute: int) -> int:
    """A minute of the window."""
    return BEGIN + minute * MINUTE_MS


def row(layer: str, headcount: int, rate: float, value: int) -> LayerTarget:
    return LayerTarget(layer=layer, headcount=headcount, conversion_rate=rate, order_value=value)


TREE = Target(
    owner="chen",
    parts=(
        Target(owner="li", channel="tmall", layers=(row("R2", 10_000, 0.02, 10_000), row("R3", 5_000, 0.08, 20_000))),
        Target(
            owner="wang",
            channel="store",
            parts=(
                Target(owner="zhao", channel="store", store_id="sh-017", layers=(row("R3", 1_000, 0.1, 30_000),)),
                Target(owner="sun", channel="store", store_id="bj-002", layers=(row("R3", 500, 0.2, 30_000),)),
            ),
        ),
    ),
)
"""GMV: tmall 2,000,000 + 8,000,000, stores 3,000,000 each: 16,000,000."""


def promotion(**given: Any) -> Promotion:
    """A day's promotion, planned evenly."""
    values: dict[str, Any] = {
        "promotion_id": "d11",
        "brand": "acme",
        "name": "Double 11",
        "version": 1,
        "changed_by": "chen",
        "changed_at": to_rfc3339(BEGIN - 86_400_000),
        "reason": "first plan",
        "effective_from": to_rfc3339(BEGIN),
        "window": Window(from_=to_rfc3339(BEGIN), to=to_rfc3339(at(DAY))),
        "target": TREE,
        **given,
    }
    return Promotion(**values)


def version(number: int, minute: int, of: Promotion | None = None, **given: Any) -> Promotion:
    """A later version that counts from a minute of the window."""
    return msgspec.structs.replace(of or promotion(), version=number, effective_from=to_rfc3339(at(minute)), **given)
