"""Alerts that are not judged by the minute: each has a key, is judged some times an hour, and is told when it begins, worsens and ends.
Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace as _with

from schemas.alert import Alert, AlertState, Severity
from schemas.times import MINUTE_MS, to_rfc3339

EVERY_MS = 10 * MINUTE_MS
"""How often they are judged."""
_CLEAR = 3
"""Times in a row back before one resolves."""
_WORSE = 1.5
_COOLDOWN_MS = 120 * MINUTE_MS


class Stands(Struct, frozen=True, kw_only=True):
    """How something stands: whether that alarms, and whether it counts as back. `gmv_at_stake` in minor units."""

    rule: str
    key: str
    alarming: bool
    back: bool
    severity: Severity
    title: dict[str, str]
    summary: dict[str, str]
    scope: dict[str, str]
    observed: float
    expected: float
    gmv_at_stake: int


class Lasting(Struct, frozen=True, kw_only=True):
    """One such alert's life: `clear` counts how often in a row it was back, `ended` is 0 while it is open."""

    alert: Alert
    key: str
    clear: int = 0
    ended: int = 0


def carry_on(
    brand: str, kept: Sequence[Lasting], found: Sequence[Stands], at: int, planned: Sequence[str] = ()
) -> tuple[list[Alert], tuple[Lasting, ...]]:
    """What is to be told at `at`, and what to keep. `planned`: notes of windows that hold: what begins now is told as planned."""
    stands = {(one.rule, one.key): one for one in found}
    known = {(one.alert.rule, one.key): one for one in kept}
    told: list[Alert] = []
    for place, one in known.items():
        if not one.ended:
            known[place], alerts = _go_on(one, stands.get(place), at)
            told += alerts
    for place, new in stands.items():
        before = known.get(place)
        if new.alarming and (before is None or (before.ended and at - before.ended >= _COOLDOWN_MS)):
            alert = _firing(brand, new, at, planned)
            known[place] = Lasting(alert=alert, key=new.key)
            told.append(alert)
    return told, tuple(one for one in known.values() if not one.ended or at - one.ended < _COOLDOWN_MS)


def _go_on(one: Lasting, now: Stands | None, at: int) -> tuple[Lasting, list[Alert]]:
    """What is no longer judged (a promotion that is over) has ended."""
    clear = one.clear + 1 if now is None or now.back else 0
    if now is None or clear >= _CLEAR:
        alert = _with(one.alert, state=AlertState.RESOLVED, severity=Severity.INFO, at=to_rfc3339(at), version=one.alert.version + 1)
        if now is not None:
            alert = _with(alert, summary=now.summary, observed=now.observed, expected=now.expected)
        return _with(one, alert=alert, clear=clear, ended=at), [alert]
    if now.alarming and now.gmv_at_stake > _WORSE * (one.alert.gmv_at_stake or 0):
        severity = one.alert.severity if "planned" in one.alert.scope else now.severity
        alert = _with(
            one.alert,
            state=AlertState.UPDATED,
            severity=severity,
            title=now.title,
            summary=now.summary,
            observed=now.observed,
            expected=now.expected,
            gmv_at_stake=now.gmv_at_stake,
            at=to_rfc3339(at),
            version=one.alert.version + 1,
        )
        return _with(one, alert=alert, clear=clear), [alert]
    return _with(one, clear=clear), []


def _firing(brand: str, new: Stands, at: int, planned: Sequence[str]) -> Alert:
    return Alert(
        alert_id=f"{brand[:50]}-{new.rule}-{new.key[:40]}-{at // MINUTE_MS}",
        brand=brand,
        rule=new.rule,
        state=AlertState.FIRING,
        severity=Severity.INFO if planned else new.severity,
        title=new.title,
        summary={language: " ".join([text, *planned]) for language, text in new.summary.items()},
        scope={**new.scope, "planned": "true"} if planned else new.scope,
        observed=new.observed,
        expected=new.expected,
        gmv_at_stake=new.gmv_at_stake,
        since=to_rfc3339(at),
        at=to_rfc3339(at),
        version=1,
    )
