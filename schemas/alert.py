"""Alerts: a flow that dropped off, a promotion behind its plan, dead letters piling up. Readers keep the highest version of each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.fields import Count, Labels, Rfc3339, Version
from schemas.touchpoint import Id

CE_TYPE = "rflow.alert.v1"


class AlertState(StrEnum):
    """Where an alert stands: `firing` opens it, `updated` tells new figures, `acknowledged` who has taken it on, `resolved` closes it."""

    FIRING = "firing"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How much an alert asks of its reader: to know, to look today, to act now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Flow(Struct, frozen=True, kw_only=True):
    """A flow between two layers of the ladder."""

    from_: str = field(name="from")
    to: str


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Who has taken an alert on, and when."""

    by: Annotated[str, Meta(min_length=1, max_length=128)]
    at: Rfc3339
    note: Annotated[str, Meta(max_length=500)] = ""


class Alert(Struct, frozen=True, kw_only=True):
    """One state of one alert. `version` grows by one with each record of the same `alert_id`.

    `scope` holds the labels the alert is about (`channel`, `campaign_id`, `store_id`, `shard`, ...), empty for the whole brand.
    `observed` and `expected` are in the rule's own unit; `gmv_at_stake` is in minor units of the brand's currency.
    `since` is when the condition began, `at` when this record was written. `acknowledged` stays from the record that tells it on.
    """

    alert_id: Id
    brand: Id
    rule: Id
    state: AlertState
    severity: Severity
    title: Labels
    summary: Labels
    flow: Flow | None = None
    scope: dict[str, str] = {}
    observed: float | None = None
    expected: float | None = None
    users_at_stake: Count | None = None
    gmv_at_stake: Count | None = None
    since: Rfc3339
    at: Rfc3339
    version: Version
    acknowledged: Acknowledgement | None = None
