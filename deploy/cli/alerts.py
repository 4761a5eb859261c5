"""alerts: the process that judges and sends; the detectors on labelled series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.backtesting import print_backtests, run_backtests
from deploy.cli.common import DataDir, Json, err, out, print_json, settings_of, shown, table
from deploy.logs import set_up_logs
from schemas.times import to_rfc3339
from warroom.alerts.labelled import Evaluation, Series, detect, evaluate, read_series, read_windows

app = typer.Typer(
    help="Judge the flows, send alerts; judge the detectors.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def serve(context: typer.Context, data: DataDir = None) -> None:
    """Judge every brand's flows minute by minute, tell the topic `alerts`, and send to the channels, until SIGTERM or Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    from deploy.processes.alerts import run_alerts

    settings = settings_of(data)
    set_up_logs(settings.log_format, settings.log_level)
    run_alerts(settings)


@app.command("test")
def against_history(
    against: Annotated[str, typer.Option("--against", metavar="PERIOD", help="A promotion's id, or FROM..TO in the brand's time zone.")],
    brand: Annotated[str | None, typer.Option("--brand", help="This brand alone; by default the promotion's, or every one.")] = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="These rules instead of those in force.")] = None,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """What the rules would have told in a past period: when, how severe, at stake, when it was over, and how many alarms a day.

    The minutes that ClickHouse keeps are judged in order by the engine itself; nothing is written and nothing is sent.
    """
    settings = settings_of(data)
    print_backtests(settings, run_backtests(settings, against, brand, rules), as_json)


@app.command("eval")
def eval_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="timestamp,value; UTC, rows from a minute to an hour apart.")],
    labels: Annotated[Path, typer.Option("--labels", metavar="FILE.json", help="A list of [start, end], or file names mapped to such.")],
    as_json: Json = False,
) -> None:
    """How the detector of any series does on a labelled one: run online, in order, never looking ahead.

    A window is found if an alarm starts in it; an alarm that starts outside all of them is false.
    """
    series = read_series(file)
    windows = read_windows(labels, file)
    result = evaluate(detect(series), windows)
    _tell_left_out(series)
    if as_json:
        print_json(result.told())
    else:
        _print(result)


def _tell_left_out(series: Series) -> None:
    told = ((series.missing, "without a value"), (series.passed_over, "not later than the one before"))
    for count, why in told:
        if count:
            err.print(f"rflow: {shown(count)} rows left out: {why}", highlight=False)


def _print(result: Evaluation) -> None:
    out.print(table("Alarms", ["at", "detector", "score"], [[to_rfc3339(one.at), one.detector, one.score] for one in result.alarms]))
    out.print(f"found {result.found} of {result.windows} windows, {result.false_alarms} false alarms", highlight=False)
    if result.delays_seconds:
        out.print(f"delays: {', '.join(f'{delay:,.0f} s' for delay in result.delays_seconds)}", highlight=False)
