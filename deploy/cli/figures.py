"""star, census, user, check: what the figures say."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from deploy.check import StateReader, census_of, recompute
from deploy.cli.common import (
    CommandFailed,
    DataDir,
    Json,
    err,
    instant,
    local_time,
    money,
    out,
    percent,
    print_json,
    settings_of,
    shown,
    table,
)
from deploy.cli.comparison import against_of, compared_with, print_comparison
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.partition import partition_of
from schemas.times import DAY_MS, MINUTE_MS, to_rfc3339
from streams.labels import Labels
from streams.ladder import Rules
from warroom.compare import TABLES, Period
from warroom.evidence import Evidence, evidence_of
from warroom.figures import Activating, By, Junk, Returning, Scaling, Triangulating
from warroom.star import Star
from warroom.states import require_ladder

_DAYS = 30


def star(
    brand: Annotated[str, typer.Argument(help="The brand.")],
    start: Annotated[str | None, typer.Option("--from", help="Begin of the period; default 30 days before its end.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of the period (exclusive); default now.")] = None,
    by: Annotated[By, typer.Option(help="Split by this dimension.")] = By.ALL,
    against: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="Beside this period: FROM..TO, FROM (as long), or a promotion's id.")
    ] = None,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """The STAR tables of a period: Scaling, Triangulating, Activating, Returning.

    Times are the brand's own unless they carry an offset: --from 2026-11-10 --to '2026-11-11 02:00' --against 2025-11-10.
    """
    settings = settings_of(data)
    zone = ladder_of(settings).calendar(brand)[0]
    until = instant(end, zone) if end else time.time_ns() // 1_000_000
    begin = instant(start, zone) if start else until - _DAYS * DAY_MS
    if begin >= until:
        raise CommandFailed(f"expected --from before --to, found {to_rfc3339(begin)} and {to_rfc3339(until)}")
    if against is not None:
        start_ms, end_ms = _minutes(begin, until)
        period = Period(begins=start_ms, ends=end_ms)
        beside = compared_with(settings, brand, period, against_of(settings, against, period, zone), by)
        print_json(msgspec.to_builtins(beside)) if as_json else print_comparison(settings, beside)
        return
    if as_json:
        with Star(clickhouse_of(settings)) as reader:
            bounds = (brand, *_minutes(begin, until), by)
            found = {name: msgspec.to_builtins(getattr(reader, name)(*bounds)) for name in TABLES}
            print_json({**found, "junk": msgspec.to_builtins(reader.junk(*bounds[:3]))})
        return
    for made in star_tables(settings, brand, begin, until, by):
        out.print(made)


def _minutes(begin: int, until: int) -> tuple[int, int]:
    """The whole minutes that cover a period."""
    return begin - begin % MINUTE_MS, until + -until % MINUTE_MS


def star_tables(
    settings: Settings, brand: str, begin: int, until: int, by: By = By.ALL, *, zone: str | None = None, currency: str | None = None
) -> list[Table]:
    """The tables of a period, as they are printed; time zone and currency are the brand's unless they are given."""
    ladder = ladder_of(settings)
    zone, currency = zone or ladder.calendar(brand)[0], currency or ladder.currency_of(brand)
    start, end = _minutes(begin, until)
    span = f"{brand}, {local_time(start, zone)} to {local_time(end, zone)} {zone}"
    with Star(clickhouse_of(settings)) as reader:
        found = reader.tables(brand, start, end, by)
        junk = reader.junk(brand, start, end)
    split = [] if by is By.ALL else [by.value]
    return [
        _scaling(found.scaling, split, span),
        _triangulating(found.triangulating, split),
        _activating(found.activating, split),
        _sold(found.returning, split, currency),
        _bought_again(found.returning, split, currency),
        *([_junk(junk)] if junk else []),
    ]


def _cells(row: Scaling | Triangulating | Activating | Returning, split: list[str], *values: Any) -> list[Any]:
    """A row, the value of its split before it where the tables are split."""
    return [*([row.split or "–"] if split else []), *values]


def _scaling(rows: list[Scaling], split: list[str], span: str) -> Table:
    return table(
        f"Scaling: users per layer ({span})",
        [*split, "layer", "users", "before", "growth", "new users", "known users"],
        [
            _cells(r, split, r.layer, r.users, r.users_before, percent(r.growth), r.new_users, r.known_users)
            for r in rows
            if not split or r.users or r.users_before
        ],
    )


def _triangulating(rows: list[Triangulating], split: list[str]) -> Table:
    return table(
        "Triangulating: share of each layer",
        [*split, "layer", "users", "share", "share before", "of the crowd", "growth"],
        [
            _cells(r, split, r.layer, r.users, percent(r.share), percent(r.share_before), percent(r.crowd_share), percent(r.growth))
            for r in rows
            if not split or r.users or r.users_before
        ],
    )


def _activating(rows: list[Activating], split: list[str]) -> Table:
    return table(
        "Activating: who left which layer for which",
        [*split, "from", "to", "direction", "users", "transitions", "of the layer"],
        [_cells(r, split, r.from_layer, r.to_layer, r.direction, r.users, r.transitions, percent(r.rate)) for r in rows if r.transitions],
    )


def _sold(rows: list[Returning], split: list[str], currency: str) -> Table:
    return table(
        f"Returning: what was sold, by the layer the buyer stood in ({currency})",
        [*split, "layer", "GMV", "share", "orders", "buyers", "order value", "conversion"],
        [
            _cells(
                r,
                split,
                r.layer or "all",
                money(r.gmv),
                percent(r.gmv_share),
                r.orders,
                r.buyers,
                money(r.order_value),
                percent(r.conversion_rate),
            )
            for r in rows
            if not split or r.orders
        ],
    )


def _bought_again(rows: list[Returning], split: list[str], currency: str) -> Table:
    return table(
        f"Returning: who bought again, what it cost ({currency})",
        [*split, "layer", "in a week", "month", "quarter", "by new users", "spend", "ROI"],
        [
            _cells(
                r,
                split,
                r.layer or "all",
                percent(r.repurchase_week),
                percent(r.repurchase_month),
                percent(r.repurchase_quarter),
                percent(r.gmv_new_share),
                money(r.spend),
                r.roi,
            )
            for r in rows
            if not split or r.orders
        ],
    )


def _junk(rows: list[Junk]) -> Table:
    return table(
        "Junk: beyond what one user may have in a minute, not folded",
        ["channel", "type", "applied", "junk", "of both"],
        [[r.channel or "–", r.type, r.touchpoints, r.junk, percent(r.share)] for r in rows],
    )


def census(
    brand: Annotated[str | None, typer.Argument(help="The brand; all brands if left out.")] = None,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Users per layer, as Redis counts them and as ClickHouse's ledger closes.

    While touchpoints flow ClickHouse is a second or so behind; at rest both are equal, and the exit status says whether they are.
    """
    settings = settings_of(data)
    ladder = ladder_of(settings)
    with closing(StateReader(settings)) as states, Star(clickhouse_of(settings)) as reader:
        in_redis = census_of(states, settings, ladder)
        found = reader.census(brand)
    total = {layer.id: 0 for layer in ladder.layers}
    for name, counts in in_redis.items():
        if brand in (None, name):
            total |= {layer: total.get(layer, 0) + n for layer, n in counts.items() if n or layer in total}
    equal = total == found.layers
    if as_json:
        print_json({"brand": brand, "redis": total, "clickhouse": found.layers, "equal": equal, "final_before": found.final_before or None})
    else:
        names = {layer.id: layer.name for layer in ladder.layers}
        rows = [
            [layer, names.get(layer, {}).get("en", ""), names.get(layer, {}).get("zh", ""), total.get(layer, 0), found.layers.get(layer, 0)]
            for layer in dict.fromkeys((*total, *found.layers))
        ]
        out.print(table(f"Users per layer, {brand or 'all brands'}", ["layer", "name", "名称", "Redis", "ClickHouse"], rows))
        zone = ladder.calendar(brand or "")[0]
        if found.final_before:
            out.print(f"Minutes before {local_time(found.final_before, zone)} {zone} are final.", highlight=False)
        out.print("[green]equal[/]" if equal else "[yellow]not equal: the sink is behind, or something is wrong (rflow check)[/]")
    if not equal:
        raise typer.Exit(1)


def user(
    brand: Annotated[str, typer.Argument(help="The brand.")],
    user_id: Annotated[str, typer.Argument(help="The user's id.")],
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """One user's layer, the evidence behind it, and how they came there."""
    settings = settings_of(data)
    ladder = ladder_of(settings)
    rules = Rules(ladder)
    shard = partition_of(user_id, settings.partitions)
    with closing(StateReader(settings)) as states:
        require_ladder(shard, states.meta(shard), ladder)
        state = states.user(shard, f"{rules.brands[brand].key}:{user_id}")
        labels = Labels(states.labels(shard))
    if state is None:
        raise CommandFailed(f"expected a user {user_id!r} of brand {brand!r} on shard {shard}, found none")
    with Star(clickhouse_of(settings)) as reader:
        history = reader.history(brand, user_id)
    found = evidence_of(state, rules, ladder, labels, brand, shard)
    told = _evidence(found)
    if as_json:
        whole = {name: value for name, value in msgspec.to_builtins(found).items() if name not in ("touches", "relations", "orders")}
        print_json({"brand": brand, "user_id": user_id, **whole, "evidence": told, "history": msgspec.to_builtins(history)})
        return
    zone = ladder.calendar(brand)[0]
    out.print(f"[bold]{user_id}[/] of {brand}: [bold]{found.layer}[/], shard {shard}", highlight=False)
    rows = [
        [name, value if not isinstance(value, dict) else ", ".join(f"{k} {shown(v)}" for k, v in value.items())]
        for name, value in told.items()
    ]
    out.print(table(f"Evidence (clock {found.clock})", ["evidence", ""], rows))
    out.print(
        table(
            f"History, {zone}",
            ["when", "from", "to", "kind", "by", "channel", "campaign"],
            [[local_time(m.effective_at, zone), m.from_layer, m.to_layer, m.kind, m.cause_type, m.channel, m.campaign_id] for m in history],
        )
    )


def _evidence(found: Evidence) -> dict[str, Any]:
    """What the layer rests on, by what it is."""
    told: dict[str, Any] = {t.evidence: {"first": t.first, "last": t.last, "count": t.count} for t in found.touches}
    told |= {f"{r.kind} {r.id}": {"since": r.since, "active": r.active} for r in found.relations}
    return told | {f"order {o.order_id}": {"at": o.at, "paid": o.paid, "refunded": o.refunded} for o in found.orders}


def check(data: DataDir = None, as_json: Json = False) -> None:
    """Recompute every user from the topics, one event at a time, and list those that differ from Redis.

    Reads all the input topics hold, up to what has been applied. The exit status is 0 only if nothing differs.
    """
    settings = settings_of(data)
    with err.status("reading the topics") as status:
        read = [0]

        def on_read(count: int) -> None:
            read[0] += count
            status.update(f"reading the topics: {shown(read[0])} records")

        found = recompute(settings, on_read)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        out.print(f"{shown(found.events)} touchpoints, {shown(found.users)} users recomputed", highlight=False)
        if found.missing:
            out.print(f"[yellow]{shown(found.missing)} records are no longer in the topics: users cannot be compared[/]")
        if found.unproven:
            out.print(
                f"[yellow]{shown(found.unproven)} users have touchpoints from before the ladder changed, of which the one before kept "
                "others: their layers cannot be compared[/]"
            )
        for d in found.differences:
            out.print(f"[red]{d.brand} {d.user_id}, {d.what}: Redis has {d.redis}, the topics say {d.topics}[/]", highlight=False)
        if not found.differences and not found.missing:
            out.print("[green]no difference[/]")
    if found.differences or found.missing:
        raise typer.Exit(1)
