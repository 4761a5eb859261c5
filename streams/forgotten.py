"""Steps that have been published, and that a Redis restored from a backup does not know: they are forgotten, on purpose.

The shard goes on above them, from the offsets that its backup knows, so what they told is told again under new versions. Whoever adds up
what all steps tell, as the ClickHouse sink does, passes over the forgotten ones. `rflow restored` notes them, in Redis and in ClickHouse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Forgotten(NamedTuple):
    """The steps of a shard from the one after version `above` up to version `up_to`."""

    above: int
    up_to: int

    def has(self, version: int) -> bool:
        """Whether the step of that version is one of them."""
        return self.above < version <= self.up_to


def next_version(version: int, forgotten: Iterable[Forgotten]) -> int:
    """The version of the step that follows step `version`, where those `forgotten` do not count."""
    follows = version + 1
    for one in sorted(forgotten):
        if one.has(follows):
            follows = one.up_to + 1
    return follows
