"""A book from a backup, held against what was told since: versions never fall back, nothing stays open that nobody would close."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from schemas.alert import Acknowledgement, Alert, AlertState
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts.catch_up import caught_up
from warroom.alerts.engine import BrandState, Incident, telling_pipeline
from warroom.alerts.lasting import Lasting
from warroom.alerts.minutes import Key

EXAMPLES = Path(__file__).parents[4] / "schemas" / "examples" / "alerts" / "valid"
FIRING = msgspec.json.decode((EXAMPLES / "firing.json").read_bytes(), type=Alert)
AT = from_rfc3339(FIRING.at)
NOW = AT + 3_600_000
LIN = Acknowledgement(by="lin", at=to_rfc3339(NOW))


def later(alert: Alert, minutes: int, state: AlertState = AlertState.UPDATED, **more: object) -> Alert:
    return replace(alert, state=state, at=to_rfc3339(from_rfc3339(alert.at) + minutes * MINUTE_MS), version=alert.version + 1, **more)


def holding(alert: Alert) -> BrandState:
    incident = Incident(alert=alert, key=Key("R2", "R3"), began=AT - MINUTE_MS, minutes=3, change=-0.5, at_stake=9.0)
    return BrandState(brand=alert.brand, judged=AT - MINUTE_MS, incidents=(incident,))


def test_what_was_told_since_is_not_judged_again_and_versions_go_on() -> None:
    newer = later(FIRING, 7)
    found = caught_up(holding(FIRING), [FIRING], [FIRING, newer], NOW)
    assert [one.alert for one in found.state.incidents] == [newer]
    assert (found.state.judged, found.closed) == (AT + 6 * MINUTE_MS, [])


def test_what_ended_since_has_ended() -> None:
    over = later(FIRING, 7, AlertState.RESOLVED)
    (incident,) = caught_up(holding(FIRING), [], [over], NOW).state.incidents
    assert (incident.alert, incident.ended) == (over, AT + 6 * MINUTE_MS)
    lasting = BrandState(brand=FIRING.brand, judged=AT, lasting=(Lasting(alert=replace(FIRING, flow=None), key="k"),), stood=AT)
    found = caught_up(lasting, [], [replace(over, flow=None)], NOW).state
    assert (found.lasting[0].ended, found.stood) == (AT + 6 * MINUTE_MS, AT + 7 * MINUTE_MS)


def test_what_nobody_knows_of_any_more_is_closed_once() -> None:
    other = replace(later(FIRING, 3, AlertState.FIRING), alert_id="other", version=4)
    gone = replace(later(FIRING, 5, AlertState.RESOLVED), alert_id="gone")
    found = caught_up(holding(FIRING), [], [FIRING, other, gone], NOW)
    (closed,) = found.closed
    assert (closed.alert_id, closed.state, closed.version, closed.at) == ("other", AlertState.RESOLVED, 5, to_rfc3339(NOW))
    assert found.state.incidents == holding(FIRING).incidents
    again = caught_up(found.state, found.closed, [FIRING, other, gone], NOW)
    assert (again.closed, again.state, again.changed) == ([], found.state, False)


def test_what_the_book_had_not_told_yet_stands() -> None:
    newer = later(FIRING, 7)
    found = caught_up(holding(newer), [newer], [FIRING], NOW)
    assert (found.state, found.closed, found.later, found.changed) == (holding(newer), [], [], False)


def test_an_acknowledgement_is_no_minute_that_was_judged() -> None:
    taken = replace(FIRING, state=AlertState.ACKNOWLEDGED, acknowledged=LIN, at=LIN.at, version=2)
    found = caught_up(holding(FIRING), [], [taken], NOW).state
    assert (found.incidents[0].alert, found.judged) == (taken, AT - MINUTE_MS)


def test_that_the_pipeline_is_down_or_no_longer_is_known() -> None:
    down = telling_pipeline(FIRING.brand, ["no worker"], None, NOW)
    over = telling_pipeline(FIRING.brand, [], down, NOW + 1)
    before = BrandState(brand=FIRING.brand, judged=AT, down=down)
    assert caught_up(before, [], [down, over], NOW).state == replace(before, down=None)
    assert [one.alert_id for one in caught_up(replace(before, down=None), [], [down], NOW).closed] == [down.alert_id]


def test_a_brand_that_was_not_judged_yet_begins_with_the_running_minute() -> None:
    assert caught_up(BrandState(brand=FIRING.brand), [], [FIRING], NOW).state.judged == 0
