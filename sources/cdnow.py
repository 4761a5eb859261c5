"""CDNOW: the purchases of the 23,570 people who first bought at this online music shop early in 1997, to June 1998.

Each line of the master file (packaged with `Lifetimes`) becomes one `purchase`: 69,659 orders by 23,570 buyers, GMV
2,500,315.63 dollars (brand `cdnow`, US dollars in cents, channel `web`), 80 of them of nothing. 2,068 lines repeat the customer and
date of an earlier one, 255 of them every figure: each is an order of its own, numbered in the file's order. The file has
dates only: a purchase is dated at noon UTC.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from schemas.times import from_datetime
from schemas.touchpoint import KINDS, Kind
from sources.errors import UnreadableSource
from sources.recorded import Dated, data_file, in_order_of_time, line, minor_units
from sources.source import Source

BRAND = "cdnow"
_ORDER = KINDS.index(Kind.ORDER)


def cdnow() -> Source:
    """All purchases in order of time, those of a day in the file's order. Raises SourceError."""
    path = data_file(BRAND, "lifetimes", "Lifetimes", "datasets/CDNOW_master.txt")
    seen: Counter[tuple[str, str]] = Counter()
    events: list[Dated] = []
    with path.open(encoding="ascii") as file:
        next(file, None)  # the names of the columns
        for number, text in enumerate(file, start=2):
            try:
                customer, date, units, dollars = text.split()
                at = from_datetime(datetime.strptime(date, "%Y%m%d").replace(hour=12, tzinfo=UTC))
                amount = minor_units(Decimal(dollars))
            except (ValueError, InvalidOperation):
                raise UnreadableSource(f"{path.name}:{number}: expected customer, date, units and dollars, found {text!r}") from None
            seen[customer, date] += 1
            events.append((at, _ORDER, _purchase(customer, f"{customer}-{date}-{seen[customer, date]}", at, amount, units)))
    return Source(BRAND, iter(in_order_of_time(events)), total=len(events), currencies={BRAND: "USD"})


def _purchase(customer: str, order_id: str, at: int, amount: int, units: str) -> bytes:
    return line(
        event_id=f"cdnow-{order_id}",
        type="purchase",
        brand=BRAND,
        user_id=customer,
        occurred_at=at,
        channel="web",
        order_id=order_id,
        amount=amount,
        attributes={"units": int(units)},
    )
