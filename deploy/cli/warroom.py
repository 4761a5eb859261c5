"""warroom: the process, and the accounts of those who may use it."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.common import CommandFailed, DataDir, Json, err, out, print_json, settings_of, table
from deploy.logs import set_up_logs
from deploy.wiring import wall_clock
from schemas.times import to_rfc3339
from schemas.tokens import hash_token, new_token
from warroom.auth.accounts import (
    Accounts,
    AccountsFile,
    Token,
    User,
    hash_password,
    new_accounts,
)
from warroom.auth.audit import AuditLog
from warroom.auth.roles import Role

warroom = typer.Typer(help="Serve the war room's API; its users and tokens.", invoke_without_command=True, pretty_exceptions_enable=False)
user = typer.Typer(help="Who may sign in.", no_args_is_help=True)
token = typer.Typer(help="Keys of programs.", no_args_is_help=True)
warroom.add_typer(user, name="user")
warroom.add_typer(token, name="token")

RoleOf = Annotated[Role, typer.Option("--role", help="viewer: figures, ids masked; operator: users, audiences; admin: the audit log.")]
BrandsOf = Annotated[list[str] | None, typer.Option("--brand", help="Only this brand; may be given several times. Default: all.")]
FileOf = Annotated[Path | None, typer.Option("--accounts", help="The file of accounts; default RFLOW_WARROOM_ACCOUNTS.")]


@warroom.callback()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to bind; beyond loopback accounts are needed.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.")] = None,
    data: DataDir = None,
) -> None:
    """Serve the war room: the REST API under /api/v1, its description at /api/v1/docs."""
    if context.invoked_subcommand is not None:
        return
    from deploy.processes.warroom import run_warroom

    settings = settings_of(data, warroom_host=host, warroom_port=port)
    set_up_logs(settings.log_format, settings.log_level)
    run_warroom(settings)


@user.command("add")
def add_user(name: Annotated[str, typer.Argument()], role: RoleOf, brand: BrandsOf = None, accounts: FileOf = None) -> None:
    """Add a user, or change one: their sessions end. The password is asked for, or read from standard input."""
    file = _file(accounts)
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=_is_terminal(), err=True)
    made = User(name=name, role=role, password=hash_password(password), brands=_brands(brand))
    _change(file, lambda found: found.with_user(made), "add user", name, role.value)


@user.command("list")
def list_users(accounts: FileOf = None, as_json: Json = False) -> None:
    """Who may sign in."""
    rows = [{"name": u.name, "role": u.role.value, "brands": u.brands} for u in _file(accounts).read().users]
    _print(rows, ["name", "role", "brands"], as_json)


@user.command("remove")
def remove_user(name: Annotated[str, typer.Argument()], accounts: FileOf = None) -> None:
    """Remove a user: their sessions end."""
    _change(_file(accounts), lambda found: found.without_user(name), "remove user", name)


@token.command("add")
def add_token(
    name: Annotated[str, typer.Argument()],
    role: RoleOf,
    brand: BrandsOf = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Good for so many days; default for ever.")] = None,
    accounts: FileOf = None,
) -> None:
    """Make a token and print it: it is not kept and cannot be shown again. One of the same name ends."""
    file, told = _file(accounts), new_token()
    expires = None if days is None else wall_clock() + int(timedelta(days=days).total_seconds() * 1000)
    made = Token(name=name, role=role, sha256=hash_token(told), brands=_brands(brand), expires_at=expires)
    _change(file, lambda found: found.with_token(made), "add token", name, role.value)
    typer.echo(told)


@token.command("list")
def list_tokens(accounts: FileOf = None, as_json: Json = False) -> None:
    """Which tokens there are."""
    rows = [
        {"name": t.name, "role": t.role.value, "brands": t.brands, "expires_at": None if t.expires_at is None else to_rfc3339(t.expires_at)}
        for t in _file(accounts).read().tokens
    ]
    _print(rows, ["name", "role", "brands", "expires_at"], as_json)


@token.command("remove")
def remove_token(name: Annotated[str, typer.Argument()], accounts: FileOf = None) -> None:
    """End a token."""
    _change(_file(accounts), lambda found: found.without_token(name), "remove token", name)


def _file(given: Path | None) -> AccountsFile:
    chosen = given or Path(settings_of(None).warroom_accounts)
    if not str(chosen) or chosen == Path():
        raise CommandFailed("expected --accounts FILE, or RFLOW_WARROOM_ACCOUNTS")
    return AccountsFile(chosen.expanduser().resolve())


def _change(file: AccountsFile, change: Any, action: str, name: str, detail: str = "") -> None:
    found = file.read() if file.path.exists() else new_accounts()
    changed: Accounts = change(found)
    audit = AuditLog(file.path.with_name(f"{file.path.name}.audit.jsonl"))
    file.write(changed)
    audit.write(wall_clock(), who="command line", role="admin", address="", action=action, target=name, outcome="done", detail=detail)
    err.print(f"{action}: {name}", highlight=False)


def _brands(given: list[str] | None) -> tuple[str, ...] | None:
    return tuple(given) if given else None


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _print(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    cells = [[", ".join(value) if isinstance(value, tuple) else value for value in row.values()] for row in rows]
    out.print(table("", columns, cells))
