"""promotion: create, adjust, show; who changed what, and what a change would come to."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from deploy.cli.common import (
    CommandFailed,
    DataDir,
    Json,
    err,
    instant,
    local_time,
    out,
    percent,
    print_json,
    settings_of,
    table,
)
from deploy.desk import desk_of
from deploy.settings import Settings
from deploy.wiring import arm_crash_point, clickhouse_of, ladder_of, wall_clock
from schemas.promotion import PlanPoint, Promotion
from schemas.times import MINUTE_MS, from_rfc3339
from warroom import wording
from warroom.pacing import LEVEL, Projection
from warroom.plan_curve import CurveError
from warroom.plan_file import from_file
from warroom.progress import CellProgress, Progress, Totals
from warroom.promotions.board import Board
from warroom.promotions.definition import TEMPLATE, Definition, first_version, read_definition
from warroom.promotions.desk import Desk, Saved
from warroom.sales import Sales

app = typer.Typer(
    help="Promotions: their targets, how they stand, who changed what.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The promotion's id.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON (rflow promotion template); - for standard input.")]
Because = Annotated[str, typer.Option("--because", help="Why; kept with the version.")]
By = Annotated[str | None, typer.Option("--by", help="Who makes the change; default: the name you are logged in with.")]
Edits = Annotated[
    list[str], typer.Option("--set", metavar="PATH=VALUE", help="tmall/R3/conversion_rate=8%, */R3/headcount=x1.1; repeatable.")
]
At = Annotated[str | None, typer.Option("--at", help="As it stood then; default: as far as sales are stored.")]
PlanLike = Annotated[str | None, typer.Option("--plan-like", metavar="ID", help="Take the plan curve of this earlier promotion's sales.")]
PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="Take the plan curve of this file: CSV minute,share or minute,gmv, or JSON points."),
]


@app.command()
def template() -> None:
    """Print an example to start from, with comments."""
    sys.stdout.write(TEMPLATE)


@app.command()
def create(
    file: File,
    because: Because = "first plan",
    by: By = None,
    plan_like: PlanLike = None,
    plan: PlanFile = None,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Create a promotion; all others hear of it within a second."""
    definition = _definition(file)
    settings = settings_of(data)
    author = _author(by)
    with _desk(settings) as desk:
        curve = _curve(settings, desk, definition, plan_like, plan, author, because)
        _print_saved(desk.create(definition, by=author, because=because, plan=curve), as_json)


@app.command("list")
def list_(
    brand: Annotated[str | None, typer.Argument(help="Of this brand only.")] = None, data: DataDir = None, as_json: Json = False
) -> None:
    """All promotions, each as it is now."""
    settings = settings_of(data)
    with _desk(settings) as desk:
        found = desk.newest(brand)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    rows = [
        [
            one.promotion_id,
            one.brand,
            one.name,
            _time(settings, one, one.window.from_),
            _time(settings, one, one.window.to),
            one.version,
            _money(settings, one, one.target.gmv),
        ]
        for one in found
    ]
    out.print(table("Promotions", ["id", "brand", "name", "from", "to", "version", "target"], rows))


@app.command()
def show(promotion_id: Id, at: At = None, data: DataDir = None, as_json: Json = False) -> None:
    """Original plan, current plan and actual side by side; how it will end; what a shortfall is made of."""
    settings = settings_of(data)
    with _board(settings) as (desk, board):
        versions = desk.versions(promotion_id)
        found = board.show(promotion_id, _instant(settings, versions[-1], at))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    _print_progress(settings, versions[-1], found)


@app.command()
def adjust(
    promotion_id: Id,
    because: Because,
    edits: Edits = [],  # noqa: B006 - typer's way to say that a list may be empty
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Take everything from this file instead of single edits.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="The minute from which it counts; default: the next.")] = None,
    if_version: Annotated[int | None, typer.Option("--if-version", min=1, help="Refuse if it is no longer at this version.")] = None,
    by: By = None,
    plan_like: PlanLike = None,
    plan: PlanFile = None,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change a promotion. Who was second is told, and nothing is overwritten."""
    if bool(edits) == bool(file):
        raise CommandFailed("expected either --set PATH=VALUE or --file FILE")
    if (plan or plan_like) and not file:
        raise CommandFailed("expected --file FILE with --plan or --plan-like")
    settings = settings_of(data)
    arm_crash_point(settings)
    author = _author(by)
    with _desk(settings) as desk:
        effective = _instant(settings, desk.versions(promotion_id)[-1], start)
        told: dict[str, Any] = {"by": author, "because": because, "effective_from": effective, "if_version": if_version}
        if file is None:
            saved = desk.adjust(promotion_id, edits, **told)
        else:
            definition = _definition(file)
            curve = _curve(settings, desk, definition, plan_like, plan, author, because)
            saved = desk.replace(promotion_id, definition, plan=curve, **told)
    _print_saved(saved, as_json)


@app.command()
def history(promotion_id: Id, data: DataDir = None, as_json: Json = False) -> None:
    """Every version: who, when, why, from which minute."""
    settings = settings_of(data)
    with _desk(settings) as desk:
        versions = desk.versions(promotion_id)
    if as_json:
        print_json(msgspec.to_builtins(versions))
        return
    rows = [
        [
            one.version,
            one.changed_by,
            _time(settings, one, one.changed_at),
            one.reason,
            _time(settings, one, one.effective_from),
            _money(settings, one, one.target.gmv),
        ]
        for one in versions
    ]
    out.print(table(f"{promotion_id}, {_zone(settings, versions[-1])}", ["version", "by", "at", "because", "counts from", "target"], rows))


@app.command("what-if")
def what_if(promotion_id: Id, edits: Edits, at: At = None, data: DataDir = None, as_json: Json = False) -> None:
    """See what edits would make of the target and of the day. Saves nothing."""
    settings = settings_of(data)
    with _board(settings) as (desk, board):
        newest = desk.versions(promotion_id)[-1]
        found = board.what_if(promotion_id, edits, _instant(settings, newest, at))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return

    def shown(minor: float) -> str:
        return _money(settings, newest, minor)

    rows = [[one.path, shown(one.gmv_before), shown(one.gmv_after), shown(one.gmv_after - one.gmv_before)] for one in found.changed]
    rows.append(["target", shown(found.target_before), shown(found.target_after), shown(found.target_after - found.target_before)])
    if found.projected_before is not None and found.projected_after is not None:
        before, after = found.projected_before, found.projected_after
        rows.append(["projected end", shown(before.end), shown(after.end), shown(after.end - before.end)])
        rows.append(["  range", _range(settings, newest, before), _range(settings, newest, after), ""])
    out.print(table(f"{promotion_id}, version {newest.version}: nothing is saved", ["", "now", "then", "difference"], rows))


@contextmanager
def _desk(settings: Settings) -> Iterator[Desk]:
    with desk_of(settings) as desk:
        yield desk


@contextmanager
def _board(settings: Settings) -> Iterator[tuple[Desk, Board]]:
    with desk_of(settings) as desk, closing(Sales(clickhouse_of(settings))) as sales:
        yield desk, Board(desk, sales, ladder_of(settings), wall_clock)


def _definition(file: str) -> Definition:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"expected a readable file such as `rflow promotion template` prints, found {file!r}: {error}") from None
    return read_definition(text, file)


def _curve(
    settings: Settings, desk: Desk, definition: Definition, plan_like: str | None, plan: Path | None, by: str, because: str
) -> tuple[PlanPoint, ...]:
    """The plan curve asked for beside the file, empty for none."""
    if plan_like and plan:
        raise CommandFailed("expected one of --plan and --plan-like, found both")
    if not plan_like and not plan:
        return ()
    like = first_version(definition, ladder_of(settings), by=by, because=because, now=wall_clock())
    if plan_like:
        with closing(Sales(clickhouse_of(settings))) as sales:
            return Board(desk, sales, ladder_of(settings), wall_clock).curve_of(plan_like, like)
    assert plan is not None
    try:
        return from_file(plan.read_text(encoding="utf-8"), like.minutes)
    except (OSError, UnicodeDecodeError, CurveError) as error:
        raise CommandFailed(f"{plan}: {error}") from None


def _author(by: str | None) -> str:
    try:
        return by or getpass.getuser()
    except (OSError, KeyError):
        raise CommandFailed("expected who makes the change: --by NAME") from None


def _print_saved(saved: Saved, as_json: bool) -> None:
    made = saved.promotion
    if as_json:
        print_json(msgspec.to_builtins(saved))
    else:
        out.print(f"{made.promotion_id}: version {made.version} by {made.changed_by}, in force from {made.effective_from}", highlight=False)
    if not saved.published:
        err.print(
            f"[yellow]saved, but others have not heard of it yet: {saved.delay}; the next change or war room tells them[/]", highlight=False
        )
        raise typer.Exit(1)


def _print_progress(settings: Settings, newest: Promotion, found: Progress) -> None:
    when = local_time(from_rfc3339(found.at), _zone(settings, newest))
    out.print(f"[bold]{found.name}[/] ({found.promotion_id}, {found.brand}) at {when} {_zone(settings, newest)}", highlight=False)
    scheduled = f"; version {found.newest_version} is yet to take effect" if found.newest_version > found.version else ""
    phase = f", {found.phase}" if found.phase else ""
    out.print(f"version {found.version}{phase}, {percent(found.share_due)} of the target due{scheduled}", highlight=False)

    def cash(value: float | None) -> str:
        return "–" if value is None else _money(settings, newest, value)

    def number(value: float | None) -> str:
        return "–" if value is None else wording.count(value)

    figures: list[tuple[str, Totals, Any]] = [
        ("GMV", found.gmv, cash),
        ("orders", found.orders, number),
        ("buyers", found.buyers, number),
        ("order value", found.order_value, cash),
    ]
    columns = ["", "original", "current", "due, original", "due, current", "actual", "pace", "projected end", f"{LEVEL:.0%} range"]
    out.print(table("Against target", columns, [_totals_row(name, totals, show) for name, totals, show in figures]))
    out.print(
        table(
            "Original · current · actual",
            ["", "owner", "users", "conversion, whole window", "order value", "GMV due", "GMV actual"],
            [_cell_row(cell, cash) for cell in found.cells],
        )
    )
    if found.outside:
        out.print(f"outside the target: {cash(found.outside)}", highlight=False)
    out.print(found.sentence["zh"], highlight=False)
    out.print(found.sentence["en"], highlight=False)


def _totals_row(name: str, totals: Totals, show: Any) -> list[Any]:
    end = totals.projected
    return [
        name,
        show(totals.original),
        show(totals.current),
        show(totals.original_so_far),
        show(totals.current_so_far),
        show(totals.actual),
        percent(totals.pace),
        show(end.end) if end else "–",
        f"{show(end.low)} to {show(end.high)}" if end else "–",
    ]


def _cell_row(cell: CellProgress, cash: Any) -> list[Any]:
    plans = (cell.original, cell.current)
    heads = [*(wording.count(plan.headcount) if plan else "–" for plan in plans), wording.count(cell.actual_headcount)]
    rates = [*(wording.rate(plan.conversion_rate) if plan else "–" for plan in plans), wording.rate(cell.actual_rate)]
    values = [*(cash(plan.order_value) if plan else "–" for plan in plans), cash(cell.actual_order_value)]
    joined = [" · ".join(three) for three in (heads, rates, values)]
    return [cell.path, cell.owner, *joined, cash(cell.current_so_far), cash(cell.actual_gmv)]


def _range(settings: Settings, of: Promotion, found: Projection) -> str:
    return f"{_money(settings, of, found.low)} to {_money(settings, of, found.high)}"


def _zone(settings: Settings, of: Promotion) -> str:
    return ladder_of(settings).calendar(of.brand)[0]


def _time(settings: Settings, of: Promotion, text: str) -> str | None:
    return local_time(from_rfc3339(text), _zone(settings, of))


def _money(settings: Settings, of: Promotion, minor: float) -> str:
    return wording.money(minor, ladder_of(settings).currency_of(of.brand))


def _instant(settings: Settings, of: Promotion, text: str | None) -> int | None:
    """A whole minute of the brand's time zone, or None."""
    if text is None:
        return None
    at = instant(text, _zone(settings, of))
    if at % MINUTE_MS:
        raise CommandFailed(f"expected a whole minute such as '2026-11-11 20:00', found {text!r}")
    return at
