"""A source as the command layer sees it: lines of JSON, and what is known of them before and after they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """Touchpoints to replay, one JSON object a line without its line break, in the order in which they are to be produced.

    `lines` can be read once. `total` is how many there will be, where that is known beforehand. `left_out` counts, while
    `lines` is read, what the source holds that is no touchpoint, by reason. `currencies` tells the currency of each brand's
    amounts: recorded purchases do not carry one themselves, because a ladder that names another for the brand would make
    dead letters of them all; a ladder with a `brands` override shows them in their own.
    """

    name: str
    lines: Iterator[bytes]
    total: int | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    currencies: dict[str, str] = field(default_factory=dict)
