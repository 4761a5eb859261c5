"""star --against: a period beside another, figure by figure."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from deploy.cli.common import CommandFailed, instant, local_time, money, out, percent, table
from deploy.desk import desk_of
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.times import MINUTE_MS
from warroom.compare import TABLES, Change, Compared, Comparison, Period, aligned, compare_periods
from warroom.figures import By
from warroom.promotions.errors import PromotionUnknown
from warroom.star import Star

_MONEY = frozenset({"gmv", "refunds", "order_value", "spend", "gmv_new"})
_RATES = frozenset(
    {
        *("growth", "share", "share_before", "crowd_share", "rate", "gmv_share", "conversion_rate", "gmv_new_share"),
        *("repurchase_week", "repurchase_month", "repurchase_quarter"),
    }
)
_RANGE = ".."


def against_of(settings: Settings, text: str, period: Period, zone: str) -> Period:
    """`FROM..TO`, `FROM` (as long as the period), or a promotion's id: its window, no longer than the period."""
    begin, found, end = text.partition(_RANGE)
    if found:
        other = Period(begins=_whole(instant(begin.strip(), zone)), ends=_whole(instant(end.strip(), zone)))
    elif text[:4].isdigit() and text[4:5] == "-":
        begins = _whole(instant(text, zone))
        other = Period(begins=begins, ends=begins + period.ends - period.begins)
    else:
        other = _window(settings, text, period)
    if other.begins >= other.ends:
        raise CommandFailed(f"expected --against FROM..TO with FROM before TO, found {text!r}")
    return other


def compared_with(settings: Settings, brand: str, period: Period, against: Period, by: By) -> Comparison:
    """Both periods' figures."""
    with Star(clickhouse_of(settings)) as star:
        return compare_periods(star, brand, period, against, by)


def print_comparison(settings: Settings, found: Comparison) -> None:
    """A table for each of the four, its lines without figures left out."""
    zone, currency = ladder_of(settings).calendar(found.brand)[0], ladder_of(settings).currency_of(found.brand)
    spans = [f"{local_time(one.begins, zone)} to {local_time(one.ends, zone)}" for one in (found.period, found.against)]
    out.print(f"[bold]{found.brand}[/], {spans[0]} against {spans[1]} {zone}", highlight=False)
    if not found.same_length:
        out.print(
            f"[yellow]{found.period.minutes:,} minutes against {found.against.minutes:,}: sums are told as they are[/]", highlight=False
        )
    for name in TABLES:
        out.print(_table(name, getattr(found, name), currency))


def _table(name: str, lines: list[Compared], currency: str) -> Table:
    rows = [
        [
            *_place(line),
            figure.replace("_", " "),
            _shown(figure, change.value),
            _shown(figure, change.against),
            *_differences(figure, change),
        ]
        for line in lines
        for figure, change in line.figures.items()
        if change.value or change.against
    ]
    title = f"{name.capitalize()} ({currency})" if name == "returning" else name.capitalize()
    return table(title, ["of", "figure", "period", "against", "difference", "relative"], rows)


def _place(line: Compared) -> list[str]:
    of = dict(line.of)
    split = "" if of.get("split") == "all" else of.get("split") or "–"
    place = f"{of['from_layer']} > {of['to_layer']}" if "from_layer" in of else of.get("layer") or "all"
    return [" ".join(part for part in (split, place) if part)]


def _differences(figure: str, change: Change) -> list[Any]:
    if change.absolute is None:
        return ["–", "–"]
    if figure in _RATES:
        return [f"{change.absolute * 100:+.1f} pp", _signed(change.relative)]
    shown = _shown(figure, change.absolute)
    return [shown if change.absolute < 0 else f"+{shown}", _signed(change.relative)]


def _signed(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:+.1f}%"


def _shown(figure: str, value: float | None) -> str:
    if value is None:
        return "–"
    if figure in _RATES:
        return percent(value)
    if figure in _MONEY:
        return money(value)
    return f"{value:,.2f}" if isinstance(value, float) and value % 1 else f"{int(value):,}"


def _window(settings: Settings, promotion_id: str, period: Period) -> Period:
    try:
        with desk_of(settings) as desk:
            window = desk.versions(promotion_id)[-1].window
    except PromotionUnknown as error:
        raise CommandFailed(f"expected --against FROM..TO, FROM, or a promotion's id: {error}") from None
    return aligned(period, window.from_ms, window.to_ms)


def _whole(at: int) -> int:
    return at - at % MINUTE_MS
