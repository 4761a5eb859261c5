"""How much is thrown at the real processes: the suite's share of it, or all of it with LOAD=full (`make load`)."""

from __future__ import annotations

import os
from dataclasses import dataclass

RUSH = 56
"""How many times a normal day's traffic has been seen within a second at midnight of a promotion."""
RUSH_SENT = 70
"""How many times as much is sent, so that it is as much also by the broker's clock, and where other work slows the sending down."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Records and users of the tests; rates in records a second.

    `patience`: seconds that a wait may last. `recompute`: whether a backlog is recomputed from the topics, which for ten million records
    takes longer than all the rest.
    """

    one_user: int
    newcomers: int
    backlog: int
    base_rate: int
    base_seconds: float
    rush_seconds: float
    patience: float
    recompute: bool


SUITE = Sizes(
    one_user=40_000,
    newcomers=20_000,
    backlog=40_000,
    base_rate=80,
    base_seconds=3.0,
    rush_seconds=3.0,
    patience=150.0,
    recompute=True,
)
FULL = Sizes(
    one_user=1_000_000,
    newcomers=1_000_000,
    backlog=10_000_000,
    base_rate=240,
    base_seconds=10.0,
    rush_seconds=60.0,
    patience=1_200.0,
    recompute=False,
)
SIZES = FULL if os.environ.get("LOAD") == "full" else SUITE
