"""A reader of one ClickHouse database: its connection, rows as tuples or structs, and how instants are bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from schemas.times import to_rfc3339
from sinks.client import connect, told_apart
from sinks.config import ClickHouse

T = TypeVar("T", bound=msgspec.Struct)

_SPILL_BYTES = 600_000_000


class Reader:
    """Asks without a session, so threads may share it. Every method raises StoreAway or StoreError (`sinks.errors`)."""

    def __init__(self, config: ClickHouse, **settings: int | str) -> None:
        """`settings` are ClickHouse's, for every query. What walks through very many users goes by way of the disk."""
        self._client = connect(config, config.database, **{"max_bytes_before_external_group_by": _SPILL_BYTES, **settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _rows(self, text: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        with told_apart():
            return self._client.query(text, parameters=dict(parameters or {})).result_rows

    def _dicts(self, text: str, parameters: Mapping[str, Any], seconds: int | None = None) -> list[dict[str, Any]]:
        """Rows by the names of their columns. `seconds`: the longest that it may take, in place of what all queries may."""
        with told_apart():
            settings = None if seconds is None else {"max_execution_time": seconds}
            result = self._client.query(text, parameters=dict(parameters), settings=settings)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    def _structs(self, of: type[T], text: str, parameters: Mapping[str, Any], seconds: int | None = None) -> list[T]:
        """Rows as structs, by the names of their columns; `seconds` as in `_dicts`."""
        return [msgspec.convert(row, of, strict=False) for row in self._dicts(text, parameters, seconds)]


def bound_period(brand: str, start: int, end: int) -> dict[str, Any]:
    """What a query of a brand's period binds; epoch milliseconds."""
    return {"brand": brand, "start": datetime64(start), "end": datetime64(end)}


def datetime64(ms: int) -> str:
    """`2026-11-11 00:00:03.120`, as ClickHouse reads a DateTime64(3)."""
    return to_rfc3339(ms)[:-1].replace("T", " ")
