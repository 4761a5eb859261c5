"""Online Retail: a year of invoices of a giftware wholesaler in the United Kingdom, and their cancellations.

What `online_retail.csv` (541,909 lines) becomes (brand `online-retail`, pounds sterling in pence, channel `web`):

- An invoice becomes one `purchase` of the sum of its lines that have a quantity and a price above zero.
- A cancellation (its number begins with C) undoes, line by line, the customer's latest earlier invoice that holds the item.
  It becomes one `refund` for each invoice it so undoes, of the sum of what its lines say. Lines whose item no earlier
  invoice of the customer holds (postage, discounts, goods bought before the file begins) are counted and left out.
- Lines without a customer are counted and left out: nobody's layer can change by them.

22,332 touchpoints of 4,339 users: 18,536 orders by 4,339 buyers (4 of them of nothing), GMV 8,911,407.90 pounds, and 3,796
refunds of 3,220 orders, asking for 487,108.11 pounds, of which 462,026.47 were paid (33 orders are refunded beyond what they
cost, 153 wholly), from 2010-12-01 to 2011-12-09. Left out: 135,080 lines without a customer, 1,306 of the 8,905 cancelled
lines.

The data names no time zone; its times are read as UTC. An invoice written over two minutes is dated at its first.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from schemas.times import from_datetime
from schemas.touchpoint import KINDS, Kind
from sources.errors import UnreadableSource
from sources.files import DAMAGED, open_bytes
from sources.recorded import Dated, in_order_of_time, line, minor_units
from sources.source import Source

BRAND = "online-retail"
NO_CUSTOMER = "lines without a customer"
NO_EARLIER_INVOICE = "cancelled lines without an earlier invoice of their item"

_ORDER = KINDS.index(Kind.ORDER)
_COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


@dataclass(slots=True)
class _Invoice:
    number: str
    customer: str
    country: str
    at: int
    lines: list[tuple[str, Decimal]] = field(default_factory=list)
    """item and value, which a cancellation has below zero"""

    @property
    def cancels(self) -> bool:
        return self.number.startswith("C")


def online_retail(path: Path) -> Source:
    """All purchases and refunds of the file in order of time. Raises SourceError."""
    left_out: Counter[str] = Counter()
    invoices = _invoices(path, left_out)
    # The file is in order of time but for single lines; the sort is stable, so within a minute the file's order holds.
    invoices.sort(key=lambda invoice: invoice.at)
    events = list(_events(invoices, left_out))
    return Source(BRAND, iter(in_order_of_time(events)), len(events), left_out, {BRAND: "GBP"})


def _events(invoices: list[_Invoice], left_out: Counter[str]) -> Iterator[Dated]:
    latest_with: dict[tuple[str, str], str] = {}
    for invoice in invoices:
        if not invoice.cancels:
            value = sum((value for _, value in invoice.lines if value > 0), Decimal(0))
            yield _touchpoint(invoice, "purchase", invoice.number, value)
            for item, _ in invoice.lines:
                latest_with[invoice.customer, item] = invoice.number
            continue
        undone: defaultdict[str, Decimal] = defaultdict(Decimal)
        for item, value in invoice.lines:
            order_id = latest_with.get((invoice.customer, item))
            if order_id is None:
                left_out[NO_EARLIER_INVOICE] += 1
            else:
                undone[order_id] -= value
        for order_id, value in undone.items():
            yield _touchpoint(invoice, "refund", order_id, value)


def _touchpoint(invoice: _Invoice, type_: str, order_id: str, value: Decimal) -> Dated:
    suffix = f"-{order_id}" if type_ == "refund" else ""
    return (
        invoice.at,
        _ORDER,
        line(
            event_id=f"online-retail-{invoice.number}{suffix}",
            type=type_,
            brand=BRAND,
            user_id=invoice.customer,
            occurred_at=invoice.at,
            channel="web",
            order_id=order_id,
            amount=minor_units(value),
            attributes={"country": invoice.country},
        ),
    )


def _invoices(path: Path, left_out: Counter[str]) -> list[_Invoice]:
    """The invoices that name a customer, in the order in which they begin in the file."""
    found: dict[str, _Invoice] = {}
    # Only the descriptions, which are not read, hold anything but ASCII.
    with io.TextIOWrapper(open_bytes(path), encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        try:
            missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise UnreadableSource(f"{path.name}: expected the columns {', '.join(_COLUMNS)}, found no {', '.join(missing)}")
            for row in rows:
                if row[_COLUMNS[-1]] is None:
                    raise ValueError("too few fields")
                if not row["CustomerID"]:
                    left_out[NO_CUSTOMER] += 1
                    continue
                at = from_datetime(datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC))
                number = row["InvoiceNo"]
                invoice = found.get(number)
                if invoice is None:
                    customer = row["CustomerID"].removesuffix(".0")
                    invoice = found[number] = _Invoice(number, customer, row["Country"], at)
                invoice.at = min(invoice.at, at)
                invoice.lines.append((row["StockCode"], int(row["Quantity"]) * Decimal(row["UnitPrice"])))
        except (*DAMAGED, InvalidOperation, csv.Error, TypeError) as error:
            raise UnreadableSource(f"{path.name}:{rows.line_num}: expected a line of online_retail.csv, found: {error!r}") from None
    return list(found.values())
