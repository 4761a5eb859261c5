"""What the embedded ClickHouse endpoint must know of a statement before the engine sees it. Pure: bytes in, values out.

The engine takes a whole text and would run a second statement in it, or read the lines of an insert's data as statements. A
server does neither. So an insert is split here into its head and its data, and what a server refuses is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import overload

from deploy.stack.clickhouse_errors import Code, QueryError

_TOKEN = re.compile(
    rb"""
    (?P<skip>   \s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/ )
  | (?P<quoted> '[^'\\]*(?:\\.[^'\\]*)*' | "[^"\\]*(?:\\.[^"\\]*)*" | `[^`\\]*(?:\\.[^`\\]*)*`
              | \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$ )
  | (?P<word>   [A-Za-z_]\w* )
  | (?P<other>  [^\s'"`$/\-\#A-Za-z_;(){}\[\].]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER_FORMAT = re.compile(rb"[ \t\f]*\r?\n?")

_ROWS = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "EXISTS", "CHECK", "KILL"})
"""Statements that answer with rows."""

_NAME_FOLLOWS = frozenset({"INSERT", "INTO", "TABLE", "FUNCTION", "."})
"""After these a word of an insert is a name, whatever it reads."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `text` is all of it, or the head of an insert whose data follow it."""

    verb: str
    text: bytes
    data_format: str | None = None
    """The format of the data that follow an insert's head; `Values` for VALUES."""
    data_start: int = 0
    """Where they begin in what was parsed."""
    output_format: str | None = None
    """What a FORMAT clause asks for."""

    @property
    def returns_rows(self) -> bool:
        """Whether it answers with rows, be it none."""
        return self.verb in _ROWS


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    word: str
    start: int
    end: int
    depth: int


@overload
def parse(text: bytes) -> Statement: ...
@overload
def parse(text: bytes, *, whole: bool) -> Statement | None: ...
def parse(text: bytes, *, whole: bool = True) -> Statement | None:
    """Tell what `text` is; None when it is the beginning of a longer text (`whole` is false) and does not suffice to tell.

    Raises QueryError for what a ClickHouse server refuses over HTTP as well: several statements, files of the server, its shutdown.
    """
    tokens = _tokens(text)
    verb = next((token.word for token in tokens if token.kind == "word"), "")
    if verb == "INSERT":
        return _parse_insert(text, tokens, whole)
    if not whole:
        return None
    if not verb:
        raise QueryError(Code.SYNTAX_ERROR, "Syntax error: Empty query")
    return _parse_complete(text, verb, tokens)


def refuse_second_statement(text: bytes) -> None:
    """Raise QueryError if anything but comments follows a `;`."""
    _parse_complete(text, "", _tokens(text))


def _tokens(text: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "skip":
            continue
        if kind == "other" and match[0] in (b")", b"]", b"}"):
            depth -= 1
        word = "" if kind == "quoted" else match[0].decode("latin-1").upper()
        yield _Token(kind, word, match.start(), match.end(), depth)
        if kind == "other" and match[0] in (b"(", b"[", b"{"):
            depth += 1


def _parse_insert(text: bytes, tokens: Iterator[_Token], whole: bool) -> Statement | None:
    before = "INSERT"
    for token in tokens:
        if token.kind == "word" and token.depth == 0 and before not in _NAME_FOLLOWS:
            if token.word == "VALUES":
                return Statement("INSERT", text[: token.start], "Values", token.end)
            if token.word == "FORMAT":
                return _with_data(text, token, next(tokens, None), whole)
            if token.word == "INFILE":
                raise QueryError(Code.NOT_IMPLEMENTED, "FROM INFILE reads a client's file: send the data in the request's body")
            if token.word in ("SELECT", "WITH"):
                return _parse_complete(text, "INSERT", tokens) if whole else None
        before = token.word
    return Statement("INSERT", text) if whole else None


def _with_data(text: bytes, clause: _Token, name: _Token | None, whole: bool) -> Statement | None:
    start = len(text)
    if name is not None:
        gap = _AFTER_FORMAT.match(text, name.end)
        start = gap.end() if gap else name.end
    if start >= len(text) and not whole:
        return None
    if name is None or name.kind != "word":
        raise QueryError(Code.SYNTAX_ERROR, "Syntax error: FORMAT lacks the name of a format")
    if text[start : start + 1] == b";":
        raise QueryError(Code.SYNTAX_ERROR, "You have excessive ';' symbol before data for INSERT")
    return Statement("INSERT", text[: clause.start], text[name.start : name.end].decode("latin-1"), start)


def _parse_complete(text: bytes, verb: str, tokens: Iterator[_Token]) -> Statement:
    """Read to the end: for the FORMAT clause, and for what is refused."""
    output_format: str | None = None
    settled = ended = False
    before = verb
    for token in tokens:
        if token.word == ";":
            ended = True
            continue
        if ended:
            raise QueryError(Code.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed): send one statement a request")
        _refuse(verb, before, token.word)
        if token.depth == 0 and token.kind == "word" and before == "FORMAT":
            output_format, settled = text[token.start : token.end].decode("latin-1"), False
        elif token.depth == 0 and token.word == "SETTINGS":
            settled = True
        elif not settled:
            output_format = None  # a column of that name, no clause: only SETTINGS may come after the clause
        before = token.word
    return Statement(verb, text, output_format=output_format)


def _refuse(verb: str, before: str, word: str) -> None:
    match (verb, before, word):
        case ("SYSTEM", "SYSTEM", "SHUTDOWN" | "KILL"):
            raise QueryError(Code.ACCESS_DENIED, f"SYSTEM {word} would end every process of this stack: stop the endpoint instead")
        case (_, "INTO", "OUTFILE"):
            raise QueryError(Code.NOT_IMPLEMENTED, "INTO OUTFILE writes a client's file: it is not allowed over HTTP")
        case ("INSERT", "INPUT", "("):
            raise QueryError(Code.NOT_IMPLEMENTED, "INSERT ... SELECT ... FROM input() is beyond the embedded engine")
        case _:
            pass
