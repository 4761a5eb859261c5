"""What a simulated day held, counted while it is written: the figures a processor's own can be held against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of the lines so far. `lines` = `touchpoints` + `broken` + `retries` + `double_orders`; `late` and `text_times` are among
    them. Amounts are in minor units, by brand; `gmv` counts each order once. `flows` are the steps people made, `R1>R2`, as
    long as no line is late: what arrives late is a step elsewhere in the order of arrival."""

    lines: int = 0
    touchpoints: int = 0
    late: int = 0
    retries: int = 0
    double_orders: int = 0
    text_times: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    flows: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    gmv: Counter[str] = field(default_factory=Counter)
