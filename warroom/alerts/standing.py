"""How alerts stand, from all who know: the engine's book is ahead of ClickHouse, ClickHouse knows those that the book has let go. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from schemas.alert import Acknowledgement, Alert, AlertState, Severity
from warroom.alerts.engine import BrandState
from warroom.alerts.silence import Silence, silence_of

_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


class Standing(Struct, frozen=True, kw_only=True):
    """An alert as it stands: its newest record, and the silence that holds it back from the channels, null for none.

    An acknowledgement stands in the record as soon as it is made; the record that tells it on the topic follows.
    """

    alert: Alert
    silence: Silence | None = None


def held_alerts(state: BrandState) -> list[Alert]:
    """What the engine holds of a brand: those that are open, and those that ended of late."""
    held = [*(one.alert for one in state.incidents), *(one.alert for one in state.lasting)]
    return held + ([] if state.down is None else [state.down])


def newest(*known: Iterable[Alert]) -> list[Alert]:
    """Each alert's highest version."""
    found: dict[str, Alert] = {}
    for one in (one for some in known for one in some):
        if one.alert_id not in found or found[one.alert_id].version < one.version:
            found[one.alert_id] = one
    return list(found.values())


def standing(
    alerts: Iterable[Alert], acknowledgements: Mapping[str, Acknowledgement], silences: Sequence[Silence], now: int
) -> list[Standing]:
    """With who has taken each on and what silences it; `now` by the wall clock."""
    told = (one if one.acknowledged is not None else replace(one, acknowledged=acknowledgements.get(one.alert_id)) for one in alerts)
    return [Standing(alert=one, silence=silence_of(silences, one, now)) for one in told]


def is_open(alert: Alert) -> bool:
    """Whether it is not over."""
    return alert.state is not AlertState.RESOLVED


def by_weight(one: Standing) -> tuple[bool, int, int, str]:
    """Sorts what to look at first to the front: not taken on, severe, much at stake."""
    alert = one.alert
    return alert.acknowledged is not None, _FIRST.index(alert.severity), -(alert.gmv_at_stake or 0), alert.since
