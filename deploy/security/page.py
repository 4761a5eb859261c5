"""The rights table of SECURITY.md, written from what is declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from deploy.security.render import Names, kafka_rights
from deploy.security.rights import NOBODY, RIGHTS, Process, Rights

PAGE = Path(__file__).resolve().parents[1] / "SECURITY.md"
BEGIN, END = "<!-- written by `python -m deploy.security` -->", "<!-- so far -->"


def written(page: str) -> str:
    """The page with its table as it is now. Raises ValueError for one without the marks."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"expected the marks {BEGIN} and {END} in {PAGE.name}")
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def table() -> str:
    """A section a process."""
    nobody = f"Nothing is asked for by {_code(f'rflow {name}' for name in NOBODY)}, but of what they bring up themselves."
    return "\n".join(["", *(_section(process, rights) for process, rights in RIGHTS.items()), nobody, "\n"])


def _section(process: Process, rights: Rights) -> str:
    why = f"{rights.why[0].upper()}{rights.why[1:]} ({_code(f'rflow {name}' for name in rights.run)})."
    lines = [f"### {process}", "", why, "", "| server | what | may |", "|---|---|---|"]
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for right in kafka_rights(rights, Names()):
        by_place[right.kind.lower(), right.name].append(right.operation)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (kind, name), operations in by_place.items():
        alike[kind, tuple(operations)].append(name)
    for (kind, may), names in alike.items():
        lines.append(f"| Kafka | {kind} {_code(names)} | {', '.join(may)} |")
    if rights.commands:
        keys = ", ".join(f"`{name}` ({mode})" for mode, name in rights.keys)
        lines.append(f"| Redis | keys `rflow:` + {keys} | {_code(rights.commands)} |")
    for privilege, name in rights.clickhouse:
        lines.append(f"| ClickHouse | `rflow.{name}` | {privilege} |")
    if rights.system:
        lines.append(f"| ClickHouse | {_code(f'system.{name}' for name in rights.system)} | SELECT |")
    if rights.queries_a_minute:
        lines.append(f"| ClickHouse | quota | {rights.queries_a_minute:,} queries a minute |")
    return "\n".join([*lines, ""])


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
