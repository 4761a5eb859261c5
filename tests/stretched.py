"""A simulated day of thirty hours drawn out over most of a year, so that layers lapse."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay

STRETCH = 240
"""The simulated thirty hours become three hundred days."""


class _Dated(msgspec.Struct):
    occurred_at: object = None


def stretched(config: SimulatorConfig) -> Iterator[bytes]:
    """The day's lines, the times within it drawn out; a broken line, and a time far from the day, stay as they are."""
    begin = config.start_ms
    for line in PromotionDay(config).lines():
        try:
            at = msgspec.json.decode(line, type=_Dated).occurred_at
        except (msgspec.DecodeError, UnicodeDecodeError):
            at = None
        if isinstance(at, int) and begin <= at < begin + 31 * 3_600_000:
            yield line.replace(b'"occurred_at":%d' % at, b'"occurred_at":%d' % (begin + (at - begin) * STRETCH))
        else:
            yield line
