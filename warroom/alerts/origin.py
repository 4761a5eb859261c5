"""Where a drop comes from: each label's part of what is missing. Contribution analysis.

What a label was to bring is its part of the flow before, of what the flow was to bring now; less what it brought, it is what is missing of
it (Bhagwan et al. 2014, "Adtributor: Revenue Debugging in Advertising Systems", NSDI: explanatory power). A label that misses no more than
its part always was says nothing: the drop is everywhere (the same, surprise).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from warroom.alerts.minutes import Key

BEYOND = 1.3
"""How many times its usual part a label's part of what is missing must be."""

Counts = Mapping[str, tuple[int, int]]
"""Moves by label: before, and since it began."""
Split = Mapping[str, Counts]
"""By dimension: `campaign_id`, `store_id`."""
Splitter = Callable[[Key, int, int], Split]
"""The split of a flow's moves, between two instants (epoch milliseconds) and before the first."""


class Share(Struct, frozen=True, kw_only=True):
    """One label's part of what is missing."""

    label: str
    missing: float
    share: float


def shares(missing: Mapping[str, float]) -> list[Share]:
    """Each label's share of what is missing, the largest first; those that miss nothing have none."""
    total = sum(value for value in missing.values() if value > 0)
    if total <= 0:
        return []
    found = [Share(label=label, missing=value, share=value / total) for label, value in missing.items() if value > 0]
    return sorted(found, key=lambda one: (-one.missing, one.label))


def origins(counts: Counts, expected: float) -> list[Share]:
    """The labels that account for more of what is missing than their part of the flow was, the largest first."""
    before = sum(one for one, _ in counts.values())
    if not before:
        return []
    usual = {label: one / before for label, (one, _) in counts.items()}
    found = shares({label: expected * usual[label] - now for label, (_, now) in counts.items()})
    return [one for one in found if one.share >= BEYOND * usual[one.label]]


def named(split: Sequence[tuple[str, list[Share]]], at_least: float) -> dict[str, str]:
    """The labels that account for so much of it alone, by dimension."""
    return {dimension: found[0].label for dimension, found in split if found and found[0].label and found[0].share >= at_least}
