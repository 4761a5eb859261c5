"""How fast a user's records come: what of each minute has counted, so that what is more can be told as junk.

A pace is one number: the minute, counted from that of the state's `base`, and in the lower PACE_BITS how many of its records have counted.
"""

from __future__ import annotations

from schemas.times import MINUTE_MS
from schemas.touchpoint import Kind
from streams.state import State

PACES = {Kind.EXPOSURE: "exposure: pace", Kind.INTERACTION: "interaction: pace"}
"""The topics whose records have a pace, and what it is called beside the evidence, of which none has such a name."""

PACE_BITS = 12
PACE_MASK = (1 << PACE_BITS) - 1
"""What a pace holds in its lower bits: the records of its minute. No ladder allows as many."""


def pace_floor(at: int, base: int) -> int:
    """The pace of a user of whose minute of `at` no record has counted."""
    return (at // MINUTE_MS - base // MINUTE_MS) << PACE_BITS


def paces_told(state: State) -> tuple[dict[int, int], dict[int, int]]:
    """The paces of a user's exposures and interactions in words: the minutes, counted from the epoch, and how many records of each have
    counted; the one told of last stands last."""
    first = state.base // MINUTE_MS
    exposures, interactions = (
        {first + (pace >> PACE_BITS): pace & PACE_MASK for pace in kept if pace is not None}
        for kept in ((state.exposures_before, state.exposures), (state.interactions_before, state.interactions))
    )
    return exposures, interactions


def change_minute(state: State, topic: int, last: int | None, minute: int, most: int) -> int:
    """The pace of a minute that is not the one of the user's last record in this log: as it was if it is the one before that, else from
    nothing. A full one changes nothing: junk leaves no trace in the state."""
    before = state.interactions_before if topic else state.exposures_before
    pace = before if before is not None and before >> PACE_BITS == minute else minute << PACE_BITS
    if pace & PACE_MASK < most:
        if topic:
            state.interactions_before = last
        else:
            state.exposures_before = last
    return pace
