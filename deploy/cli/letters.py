"""How dead letters are shown: their bytes are strangers' and must neither break a table nor steer a terminal."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from rich import box
from rich.table import Table
from rich.text import Text

from deploy.cli.common import local_time, out, shown, table
from schemas.times import from_rfc3339, to_rfc3339
from sinks.deadletters import DeadLetter, State, Verdict

_MOST_BYTES = 8_192
_WIDTH = 16


def row_of(letter: DeadLetter, state: State) -> dict[str, Any]:
    """A letter in a list. `bytes` is the length of the value as it came."""
    told = letter.headers
    return {
        "id": letter.id,
        "at": to_rfc3339(letter.at),
        "topic": told.topic,
        "partition": told.partition,
        "offset": told.offset,
        "reason": told.reason.value,
        "detail": told.detail,
        "attempts": told.attempts,
        "first_seen": told.first_seen,
        "bytes": told.cut_from_bytes or len(letter.value or b""),
        "state": state.value,
    }


def facts(letter: DeadLetter, state: State, verdict: Verdict, replayed_at: int | None) -> dict[str, Any]:
    """All there is to say of one letter. The value and the key are text where they are UTF-8, else base64 under `..._base64`."""
    type_, brand, user = letter.named()
    return {
        **row_of(letter, state),
        **{
            name: value
            for name, value in msgspec.structs.asdict(letter.headers).items()
            if name in ("cut_from_bytes", "sha256", "replay_of")
        },
        "replayed_at": None if replayed_at is None else to_rfc3339(replayed_at),
        "type": type_,
        "brand": brand,
        "user_id": user,
        "would_be_taken": verdict.is_taken,
        "verdict": verdict.why or f"would be taken on {verdict.topic}",
        **_bytes("key", letter.key),
        **_bytes("value", letter.value),
    }


def _bytes(name: str, content: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if content is None else content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content or b"").decode()}


def print_letters(rows: Sequence[Mapping[str, Any]], zone: str, total: int, *, every: bool) -> None:
    """A line a letter, as wide as the terminal and no wider."""
    if not rows:
        out.print("no letters" if every else "[green]no letter waits[/]")
        return
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", expand=True)
    made.add_column("id", no_wrap=True)
    made.add_column("when", no_wrap=True)
    made.add_column("from", no_wrap=True)
    made.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    made.add_column("tries", no_wrap=True, justify="right")
    made.add_column("bytes", no_wrap=True, justify="right")
    if every:
        made.add_column("state", no_wrap=True)
    for row in rows:
        when = (local_time(from_rfc3339(row["at"]), zone) or "")[5:]
        came = f"{row['topic'].rpartition('.')[2]} {row['partition']}:{row['offset']}"
        cells = [row["id"], when, came, f"{row['reason']}: {row['detail']}", shown(row["attempts"]), shown(row["bytes"])]
        made.add_row(*(Text(_one_line(cell)) for cell in [*cells, *([row["state"].replace("_", " ")] if every else [])]))
    out.print(made)
    if total > len(rows):
        out.print(f"the newest {shown(len(rows))} of {shown(total)} (--limit)", highlight=False)


def print_reasons(by_reason: Mapping[str, int], by_state: Mapping[str, int], oldest: int | None, zone: str) -> None:
    """The sums."""
    if by_reason:
        out.print(table("By reason", ["reason", "letters"], [[reason, n] for reason, n in sorted(by_reason.items(), key=lambda i: -i[1])]))
        out.print(f"oldest {local_time(oldest, zone)} {zone}", highlight=False)
    done = [f"{shown(n)} {state.replace('_', ' ')}" for state, n in by_state.items() if state != State.OPEN.value]
    if done:
        out.print(f"done with: {', '.join(done)}", highlight=False)


def print_letter(told: Mapping[str, Any], letter: DeadLetter) -> None:
    """One letter on as many lines as it takes."""
    left_out = ("id", "key", "key_base64", "value", "value_base64", "would_be_taken", "verdict")
    grid = Table.grid(padding=(0, 2))
    for name, fact in told.items():
        if name not in left_out and fact is not None:
            grid.add_row(Text(name.replace("_", " "), style="dim"), Text(_one_line(str(fact))))
    grid.add_row(
        Text("key", style="dim"), Text("none" if letter.key is None else _one_line(letter.key[:128].decode(errors="backslashreplace")))
    )
    out.print(Text(f"letter {told['id']}", style="bold"))
    out.print(grid)
    out.print(Text(f"now: {_one_line(told['verdict'])}", style="green" if told["would_be_taken"] else "yellow"))
    out.print()
    out.print(Text(value_text(letter.value)), soft_wrap=True)


def value_text(value: bytes | None) -> str:
    """A value for a reader: JSON on several lines, other text as it is, anything else as a hex dump; control characters made visible."""
    if value is None:
        return "(no value)"
    if not value:
        return "(empty)"
    begin, more = value[:_MOST_BYTES], len(value) - _MOST_BYTES
    rest = f"\n({shown(more)} bytes more: --raw)" if more > 0 else ""
    try:
        return printable(orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()[: 2 * _MOST_BYTES]) + rest
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        pass
    try:
        value.decode()
    except UnicodeDecodeError:
        return hex_dump(begin) + rest
    return printable(begin.decode(errors="ignore")) + rest


def hex_dump(content: bytes) -> str:
    """Sixteen bytes a line: where, what, and what of it is ASCII."""
    lines = []
    for at in range(0, len(content), _WIDTH):
        piece = content[at : at + _WIDTH]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        lines.append(f"{at:08x}  {piece.hex(' '):<{3 * _WIDTH}} {text}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """What a terminal shows and does not obey."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))
