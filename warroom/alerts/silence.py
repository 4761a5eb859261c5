"""Silences: what is known and wanted by nobody for a while. Each has an end."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.alert import Alert


class Silence(Struct, frozen=True, kw_only=True):
    """Alerts of a brand that match are sent through no channel until `until` (epoch milliseconds). Empty fields match all."""

    silence_id: str
    brand: str
    rule: str = ""
    channel: str = ""
    until: int
    by: str
    because: str


def is_silent(silences: Sequence[Silence], alert: Alert, at: int) -> bool:
    """Whether any silence that has not ended matches."""
    return any(
        at < one.until and one.brand == alert.brand and one.rule in ("", alert.rule) and one.channel in ("", alert.scope.get("channel", ""))
        for one in silences
    )
