# ruff: noqa: S608 - fixed text put together from fixed text
"""Alerts as ClickHouse keeps them: every state of each. How one stands is its highest version. Query text is fixed, values are bound."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from schemas.alert import Alert
from schemas.times import LAST_MS
from warroom.reader import Reader, bound_period, datetime64

_AT = "DateTime64(3, 'UTC')"
_STANDING = f"""
SELECT argMax(record, version) AS record
FROM alerts
WHERE brand = {{brand:String}}
GROUP BY alert_id
HAVING min(since) < {{end:{_AT}}}
    AND (argMax(state, version) != 'resolved' OR (NOT {{open:Bool}} AND argMax(at, version) >= {{start:{_AT}}}))
    AND (min(since), alert_id) < ({{upto:{_AT}}}, {{before:String}})
ORDER BY min(since) DESC, alert_id DESC
LIMIT {{limit:UInt32}}
"""
_STATES = """
SELECT record FROM alerts WHERE brand = {brand:String} AND alert_id = {alert_id:String}
ORDER BY version LIMIT 1 BY version
"""


class Place(Struct, frozen=True, kw_only=True):
    """Where a page begins: behind the alert of that `since` (epoch milliseconds) and id."""

    since: int = LAST_MS
    alert_id: str = ""


class KeptAlerts(Reader):
    """Alerts of one brand. Every method raises StoreAway or StoreError."""

    def standing(
        self, brand: str, limit: int, *, start: int = 0, end: int = LAST_MS, only_open: bool = False, behind: Place | None = None
    ) -> list[Alert]:
        """How alerts stand that were open at any time from `start` to before `end`, the latest to begin first."""
        place = behind or Place()
        bound = bound_period(brand, start, end)
        bound |= {"open": only_open, "upto": datetime64(place.since), "before": place.alert_id, "limit": limit}
        return [_decoded(record) for (record,) in self._rows(_STANDING, bound)]

    def states(self, brand: str, alert_id: str) -> list[Alert]:
        """Every state of an alert, oldest first; none if there is no such alert."""
        return [_decoded(record) for (record,) in self._rows(_STATES, {"brand": brand, "alert_id": alert_id})]


def _decoded(record: str) -> Alert:
    return msgspec.json.decode(record, type=Alert)
