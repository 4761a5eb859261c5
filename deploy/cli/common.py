"""What the commands share: the console, JSON output, one-line errors, and the options that name a running stack."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.table import Table

from deploy.settings import Settings, SettingsError, load_settings
from schemas.times import from_datetime

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of tables.")]
DataDir = Annotated[str | None, typer.Option("--data", help="The data folder of a running stack (rflow up --data DIR).")]

COMPLETION_HELP = "Shell completion: rflow --install-completion"

FAILED = 1
MISUSED = 2


class CommandFailed(Exception):
    """What was asked for does not hold, or could not be done: one line that says what to do."""


def complain(error: BaseException) -> int:
    """Prints an error as one line (settings: one line a mistake) and gives the exit status."""
    if os.environ.get("RFLOW_LOG_LEVEL") == "debug":
        err.print_exception()
    text = str(error) or type(error).__name__
    for line in text.splitlines() if isinstance(error, SettingsError) else [" ".join(text.split())]:
        err.print(f"[bold red]rflow:[/] {_plain(line)}", highlight=False, soft_wrap=True)
    return MISUSED if isinstance(error, SettingsError) else FAILED


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def table(title: str, columns: list[str], rows: list[list[Any]]) -> Table:
    """A table whose figures stand to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for i, name in enumerate(columns):
        figures = all(isinstance(row[i], int | float) or row[i] is None for row in rows) and bool(rows)
        made.add_column(name, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        made.add_row(*(shown(value) for value in row))
    return made


def shown(value: Any) -> str:
    """A value in a table: thousands apart, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return str(value)


def settings_of(data: str | None, **given: Any) -> Settings:
    """The settings, with the addresses of the stack that runs in the data folder, if one is named."""
    base = load_settings(**given)
    if data is None:
        return base
    from deploy.running import settings_of_data

    return settings_of_data(data, base)


def instant(text: str, zone: str) -> int:
    """Epoch milliseconds of `2026-11-11`, `2026-11-11 20:00` (both in the brand's time zone) or an RFC 3339 time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"expected a time such as 2026-11-11, '2026-11-11 20:00' or RFC 3339, found {text!r}") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(zone))
    return from_datetime(at)


def local_time(ms: int | None, zone: str) -> str | None:
    """An instant as the brand's people read it."""
    return None if ms is None else f"{datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def money(minor: int | float | None) -> str:
    """An amount in minor units, in whole ones."""
    return "–" if minor is None else f"{minor / 100:,.2f}"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{share * 100:.1f}%"
