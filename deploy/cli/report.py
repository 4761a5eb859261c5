"""report: the promotion's day as one HTML file."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.common import CommandFailed, DataDir, err, settings_of
from deploy.desk import desk_of
from deploy.wiring import clickhouse_of, ladder_of, redis_of, wall_clock
from warroom.drill import Drill
from warroom.notes import Notes
from warroom.promotions.board import Board
from warroom.report.facts import Library, gather
from warroom.report.page import report as written
from warroom.sales import Sales


class Lang(StrEnum):
    """The report's language."""

    ZH = "zh"
    EN = "en"


_QUERY_SECONDS = 600


def report(
    promotion_id: Annotated[str, typer.Argument(metavar="PROMOTION", help="The promotion's id.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; default PROMOTION.html, - for standard output.")
    ] = None,
    lang: Annotated[Lang, typer.Option(help="Chinese or English.")] = Lang.ZH,
    against: Annotated[
        str | None, typer.Option(metavar="ID", help="The promotion to compare with; default: the brand's last one that was over before.")
    ] = None,
    data: DataDir = None,
) -> None:
    """Write the report of a promotion: one HTML file that needs nothing else, to be read, printed and kept.

    The plan, what was changed and why, actual against original and current, flows, channels, new users, who was lost, an earlier promotion.
    """
    settings = settings_of(data)
    ladder, clickhouse = ladder_of(settings), clickhouse_of(settings)
    with (
        desk_of(settings) as desk,
        Sales(clickhouse) as sales,
        closing(Drill(clickhouse, seconds=_QUERY_SECONDS)) as drill,
        closing(redis_of(settings).client()) as client,
    ):
        notes = Notes(client, settings.redis_prefix)
        library = Library(board=Board(desk, sales, ladder, wall_clock), drill=drill, notes=notes, ladder=ladder)
        page = written(gather(library, promotion_id, wall_clock(), against), "zh" if lang is Lang.ZH else "en")
    if output == Path("-"):
        typer.echo(page, nl=False)
        return
    file = output or Path(f"{_file_name(promotion_id)}.html")
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{file}: expected a file that can be written: {error.strerror}") from None
    err.print(f"{file}: {len(page.encode()):,} bytes", highlight=False, soft_wrap=True)


def _file_name(promotion_id: str) -> str:
    """An id may hold what a file's name may not."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in promotion_id).lstrip(".") or "report"
