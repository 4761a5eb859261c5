"""Alerts as text, in one language: for people's channels."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.alert import Alert, AlertState, Severity

_STATES = {
    "en": {
        AlertState.FIRING: "firing",
        AlertState.UPDATED: "updated",
        AlertState.ACKNOWLEDGED: "acknowledged",
        AlertState.RESOLVED: "resolved",
    },
    "zh": {AlertState.FIRING: "告警", AlertState.UPDATED: "更新", AlertState.ACKNOWLEDGED: "已确认", AlertState.RESOLVED: "恢复"},
}
_SEVERITIES = {
    "en": {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"},
    "zh": {Severity.INFO: "提示", Severity.WARNING: "警告", Severity.CRITICAL: "严重"},
}


def headline(alert: Alert, language: str) -> str:
    """`[firing, critical] acme: R2→R3 has dropped by 50% in wecom`."""
    states, severities = _STATES.get(language, _STATES["en"]), _SEVERITIES.get(language, _SEVERITIES["en"])
    return f"[{states[alert.state]}, {severities[alert.severity]}] {alert.brand}: {said(alert.title, language)}"


def whole(alerts: Sequence[Alert], language: str, most_bytes: int) -> str:
    """Each alert's headline and summary, cut to a whole number of characters within `most_bytes` of UTF-8; the cut is told."""
    text = "\n\n".join(f"{headline(one, language)}\n{_taken_on(one)}{said(one.summary, language)}" for one in alerts)
    raw = text.encode()
    return text if len(raw) <= most_bytes else raw[: most_bytes - 4].decode(errors="ignore") + "…"


def _taken_on(alert: Alert) -> str:
    """Who has taken it on, with what they said, in the message that tells it."""
    taken = alert.acknowledged
    if taken is None or alert.state is not AlertState.ACKNOWLEDGED:
        return ""
    return f"{taken.by}: {taken.note}\n" if taken.note else f"{taken.by}\n"


def said(texts: dict[str, str], language: str) -> str:
    """The text in a language, else in English, else in any."""
    return texts.get(language) or texts.get("en") or next(iter(texts.values()))
