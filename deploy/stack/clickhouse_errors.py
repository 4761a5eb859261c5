"""Errors of the embedded ClickHouse endpoint, as ClickHouse tells them: a code, a text, an HTTP status."""

from __future__ import annotations

import re
from enum import IntEnum


class Code(IntEnum):
    """ClickHouse's numbers for the errors that the endpoint itself finds."""

    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    UNKNOWN_SETTING = 115
    ABORTED = 236
    CANNOT_DECOMPRESS = 271
    ACCESS_DENIED = 497
    UNKNOWN_EXCEPTION = 1002


_ENGINE_TEXT = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)

_BAD_REQUEST = {6, 27, 36, 41, 43, 47, 53, 62, 69, 72, 81, 115, 117, 271, 456}
_STATUS = {60: 404, 164: 403, 497: 403, 48: 501, 159: 408}
"""The statuses a ClickHouse server uses; all else is 500. None of those on which clickhouse-connect sends again (429, 503, 504)."""


class QueryError(Exception):
    """A statement failed. `code` is ClickHouse's number of the error; the text says what went wrong and ends with the error's name."""

    def __init__(self, code: int, text: str) -> None:
        name = f" ({code.name})" if isinstance(code, Code) else ""
        super().__init__(f"Code: {int(code)}. DB::Exception: {text}{name}")
        self.code = int(code)

    @classmethod
    def from_engine(cls, error: Exception) -> QueryError:
        """What chDB raised, its code read from its text."""
        found = _ENGINE_TEXT.search(str(error))
        if found is None:
            return cls(Code.UNKNOWN_EXCEPTION, f"{type(error).__name__}: {error}")
        return cls(int(found[1]), found[2].strip())

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return 400 if self.code in _BAD_REQUEST else _STATUS.get(self.code, 500)
