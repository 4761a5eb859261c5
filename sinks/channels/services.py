"""Alertmanager, and any service that takes a webhook: both know a repeat for one, so what is doubtful is sent again."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson

from schemas.alert import Alert, AlertState
from schemas.times import from_rfc3339, to_rfc3339
from sinks.channels.http import post
from sinks.channels.words import said

_OPEN_MS = 24 * 60 * 60_000
"""Alertmanager forgets an alert that is not told again; ours ends when we say so, or after a day."""


class Alertmanager:
    """Alertmanager's API v2. One alert there is one `alert_id` here."""

    batch = 64
    a_minute: int | None = None
    may_repeat = True

    def __init__(self, name: str, url: str, language: str = "en") -> None:
        self.name = name
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._language = language

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Raises TryLater, Refused or Doubtful."""
        newest = {one.alert_id: one for one in alerts}
        post(self._url, orjson.dumps([self._posted(one) for one in newest.values()]))

    def _posted(self, alert: Alert) -> dict[str, Any]:
        labels = {"alertname": alert.rule, "alert_id": alert.alert_id, "brand": alert.brand, **alert.scope}
        if alert.flow is not None:
            labels |= {"from": alert.flow.from_, "to": alert.flow.to}
        at = from_rfc3339(alert.at)
        return {
            "labels": labels,
            "annotations": {
                "severity": alert.severity.value,
                "title": said(alert.title, self._language),
                "summary": said(alert.summary, self._language),
            },
            "startsAt": alert.since,
            "endsAt": to_rfc3339(at if alert.state is AlertState.RESOLVED else at + _OPEN_MS),
        }


class Webhook:
    """Any address: the records as JSON lines, in `X-Rflow-Signature` the HMAC-SHA256 in hex, keyed with the secret, of the time in seconds
    (`X-Rflow-Timestamp`), a dot and the body. `X-Rflow-Id` is the same for a repeat."""

    batch = 50
    a_minute: int | None = None
    may_repeat = True

    def __init__(self, name: str, url: str, secret: str, now: Callable[[], float] = time.time) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._now = now

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Raises TryLater, Refused or Doubtful."""
        body = b"".join(msgspec.json.encode(one) + b"\n" for one in alerts)
        at = str(round(self._now()))
        signature = hmac.new(self._secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        ids = hashlib.sha256(",".join(f"{one.alert_id}:{one.version}" for one in alerts).encode()).hexdigest()[:32]
        headers = {"X-Rflow-Timestamp": at, "X-Rflow-Signature": signature, "X-Rflow-Id": ids, "Content-Type": "application/x-ndjson"}
        post(self._url, body, headers)
