"""collect: touchpoints over HTTP, and the tokens of those who send them."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli.common import MISUSED, DataDir, err, settings_of
from deploy.logs import set_up_logs
from schemas.tokens import hash_token, new_token
from sources.collector.sources_file import SourcesError

collect = typer.Typer(
    help="Take touchpoints over HTTP, each acknowledged when Kafka has it; tokens of those who send.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


@collect.callback()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to bind.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.")] = None,
    sources: Annotated[str | None, typer.Option(help="The file of who may send what; default RFLOW_COLLECT_SOURCES.")] = None,
    data: DataDir = None,
) -> None:
    """Take touchpoints at /v1/touchpoints, one, a JSON array, or JSON lines, until SIGTERM; what is on its way is answered first."""
    if context.invoked_subcommand is not None:
        return
    from deploy.processes.collector import run_collector

    settings = settings_of(data, collect_host=host, collect_port=port, collect_sources=sources)
    set_up_logs(settings.log_format, settings.log_level)
    try:
        run_collector(settings)
    except SourcesError as error:
        for line in str(error).splitlines():
            err.print(f"rflow: {line}", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(MISUSED) from None


@collect.command()
def token(name: Annotated[str, typer.Argument(help="The source.")]) -> None:
    """Make a token and print it: it is not kept. What the file of sources has to say of it goes to standard error."""
    told = new_token()
    err.print(f'- source: {name}\n  brands: [...]\n  tokens: ["{hash_token(told)}"]', highlight=False, markup=False, soft_wrap=True)
    typer.echo(told)
