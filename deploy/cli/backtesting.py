"""alerts test --against: history through the rules, brand by brand."""

from __future__ import annotations

from pathlib import Path

import msgspec

from deploy.cli.common import CommandFailed, instant, local_time, money, out, print_json, table
from deploy.desk import desk_of
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.ladder import Ladder
from schemas.times import DAY_MS, MINUTE_MS
from warroom.alerts.backtest import Backtest, Fired, backtest
from warroom.alerts.engine import Facts
from warroom.alerts.figures import AlertReader
from warroom.alerts.flows import shape_of
from warroom.alerts.rules import Rules, load_rules
from warroom.lists import LONGEST_MS
from warroom.promotions.errors import PromotionUnknown

_RANGE = ".."


def run_backtests(settings: Settings, against: str, brand: str | None, rules_file: Path | None) -> list[Backtest]:
    """The rules in force, or those of a file, against a promotion's window or `FROM..TO`. Raises CommandFailed, RulesError, SinkError."""
    ladder = ladder_of(settings)
    rules = _rules(settings, rules_file)
    found, start, end = _period(settings, ladder, against, brand)
    with AlertReader(clickhouse_of(settings)) as reader:
        known = [brand for brand in reader.brands(start) if found in (None, brand)]
        if not known:
            raise CommandFailed(f"expected touchpoints of {found or 'any brand'} since {local_time(start, 'UTC')} UTC, found none")
        return [backtest(reader, _facts(ladder, one), shape_of(ladder, one), rules, start, end) for one in known]


def print_backtests(settings: Settings, found: list[Backtest], as_json: bool) -> None:
    """What would have fired, as tables or JSON; times in the brand's zone."""
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
        return
    for one in found:
        zone = ladder_of(settings).calendar(one.brand)[0]
        span = f"{local_time(one.begins, zone)} to {local_time(one.ends, zone)} {zone}"
        out.print(f"[bold]{one.brand}[/], {span}, rules version {one.rules_version}", highlight=False)
        if one.fired:
            columns = ["fired", "severity", "what", "users/h", "GMV/h", "resolved"]
            out.print(table("Would have fired", columns, [_row(fired, zone) for fired in one.fired]))
        days = (one.ends - one.begins) / DAY_MS
        out.print(f"{len(one.fired)} alerts in {days:.2g} days, {one.a_day:.2g} a day; {one.touchpoints:,} touchpoints", highlight=False)


def _row(one: Fired, zone: str) -> list[str]:
    return [
        local_time(one.at, zone) or "",
        f"{one.severity.value}{', planned' if one.planned else ''}",
        one.title["en"],
        "–" if one.users_at_stake is None else f"{one.users_at_stake:,}",
        money(one.gmv_at_stake),
        local_time(one.resolved_at, zone) or "–",
    ]


def _rules(settings: Settings, file: Path | None) -> Rules:
    if file is None and settings.alert_rules:
        file = Path(settings.alert_rules).expanduser()
    return Rules() if file is None else load_rules(file)


def _facts(ladder: Ladder, brand: str) -> Facts:
    return Facts(brand=brand, zone=ladder.calendar(brand)[0], currency=ladder.currency_of(brand))


def _period(settings: Settings, ladder: Ladder, text: str, brand: str | None) -> tuple[str | None, int, int]:
    """Whose minutes, from when to when; None: every brand's."""
    begin, is_range, end = text.partition(_RANGE)
    if not is_range:
        return _window(settings, text, brand)
    zone = ladder.calendar(brand or "")[0]
    start, until = (_whole(instant(part.strip(), zone)) for part in (begin, end))
    if not 0 < until - start <= LONGEST_MS:
        raise CommandFailed(f"expected --against FROM..TO with FROM before TO and at most 400 days between, found {text!r}")
    return brand, start, until


def _window(settings: Settings, promotion_id: str, brand: str | None) -> tuple[str, int, int]:
    try:
        with desk_of(settings) as desk:
            promotion = desk.versions(promotion_id)[-1]
    except PromotionUnknown as error:
        raise CommandFailed(f"expected --against FROM..TO or a promotion's id: {error}") from None
    if brand not in (None, promotion.brand):
        raise CommandFailed(f"expected a promotion of {brand}, found {promotion_id} of {promotion.brand}")
    return promotion.brand, promotion.window.from_ms, promotion.window.to_ms


def _whole(at: int) -> int:
    return at - at % MINUTE_MS
