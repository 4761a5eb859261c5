"""Silences: what is known and wanted by nobody for a while. Each has an end, a reason and an author."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.alert import Alert


class Silence(Struct, frozen=True, kw_only=True):
    """Alerts of a brand that match are sent through no channel until `until`, but for the end of one that was sent before; the topic and
    the screen tell them all the same.

    Empty fields match all: `rule` is the detector, `flow` is `R2>R3`, `channel` the one an alert is about. Times are epoch milliseconds by
    the wall clock, also where figures go by the events'. `ended_by` is who ended it early.
    """

    silence_id: str
    brand: str
    rule: str = ""
    flow: str = ""
    channel: str = ""
    until: int
    by: str
    because: str
    created_at: int = 0
    ended_by: str = ""


def silence_of(silences: Sequence[Silence], alert: Alert, at: int) -> Silence | None:
    """Of those that match and have not ended, the one that ends last; None if there is none."""
    return max((one for one in silences if at < one.until and _matches(one, alert)), key=lambda one: one.until, default=None)


def _matches(silence: Silence, alert: Alert) -> bool:
    flow = "" if alert.flow is None else f"{alert.flow.from_}>{alert.flow.to}"
    return (
        silence.brand == alert.brand
        and silence.rule in ("", alert.rule)
        and silence.flow in ("", flow)
        and silence.channel in ("", alert.scope.get("channel", ""))
    )
