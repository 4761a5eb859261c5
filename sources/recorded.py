"""What the recorded data sets share: finding a package's files without importing it, and writing touchpoints as lines."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from importlib.util import find_spec
from pathlib import Path

import msgspec

from sources.errors import MissingExtra, UnreadableSource

_encode = msgspec.json.Encoder().encode

Dated = tuple[int, int, bytes]
"""A touchpoint on its way: `occurred_at` in epoch milliseconds, the rank of its topic, and its line."""


def data_file(source: str, package: str, distribution: str, path: str) -> Path:
    """The file `path` inside an installed package, which is not imported: one such package drags pandas in, another no
    longer imports with today's. Raises MissingExtra or UnreadableSource."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(source, distribution)
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise UnreadableSource(f"{source}: expected {path} in the package {distribution}, found no such file")
    return file


def line(**fields: object) -> bytes:
    """A touchpoint as a line of JSON; fields that are None are left out."""
    return _encode({name: value for name, value in fields.items() if value is not None})


def minor_units(amount: Decimal) -> int:
    """An amount in hundredths, rounded half to even."""
    return int((amount * 100).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def in_order_of_time(events: list[Dated]) -> list[bytes]:
    """The lines by time, at equal times by topic as the processor merges them, else as they came."""
    events.sort(key=lambda event: event[:2])
    return [event[2] for event in events]
