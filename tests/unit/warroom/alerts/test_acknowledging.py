"""An acknowledgement becomes one record of the engine's, with the next version, whatever the alert is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from schemas.alert import Acknowledgement, Alert, AlertState
from schemas.times import to_rfc3339
from warroom.alerts.acknowledging import acknowledged
from warroom.alerts.book import Asked
from warroom.alerts.engine import BrandState, Incident, telling_pipeline
from warroom.alerts.minutes import Key

EXAMPLES = Path(__file__).parents[4] / "schemas" / "examples" / "alerts" / "valid"
FIRING, RESOLVED = (msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes(), type=Alert) for name in ("firing", "resolved"))
NOW = 1_794_355_200_000
LIN = Acknowledgement(by="lin", at=to_rfc3339(NOW), note="on it")


def holding(alert: Alert, alert_id: str = "other") -> BrandState:
    other = Incident(alert=replace(FIRING, alert_id=alert_id), key=Key("R1", "R2"), began=NOW, minutes=3, change=-0.5, at_stake=9.0)
    incident = replace(other, alert=alert, key=Key("R2", "R3"))
    return BrandState(brand="acme", judged=NOW, incidents=(other, incident))


def test_the_engines_own_record_is_the_one_that_is_told() -> None:
    newer = replace(FIRING, state=AlertState.UPDATED, version=4, users_at_stake=99)
    state, told = acknowledged(holding(newer), Asked(alert=FIRING, acknowledgement=LIN))
    assert told == replace(newer, state=AlertState.ACKNOWLEDGED, acknowledged=LIN, at=LIN.at, version=5)
    assert [one.alert for one in state.incidents] == [replace(FIRING, alert_id="other"), told]
    assert acknowledged(state, Asked(alert=FIRING, acknowledgement=replace(LIN, by="omar"))) == (state, None)


def test_that_the_pipeline_is_down_can_be_acknowledged() -> None:
    down = telling_pipeline("acme", ["no worker"], None, NOW)
    state, told = acknowledged(replace(holding(FIRING), down=down), Asked(alert=down, acknowledgement=LIN))
    assert told == state.down
    assert told is not None
    assert (told.rule, told.version, told.acknowledged) == ("pipeline_down", 2, LIN)
    over = telling_pipeline("acme", [], state.down, NOW)
    assert (over.version, over.acknowledged) == (3, LIN)


def test_an_alert_that_somebody_else_put_on_the_topic_is_told_as_it_was_seen() -> None:
    before = BrandState(brand="acme")
    state, told = acknowledged(before, Asked(alert=FIRING, acknowledgement=LIN))
    assert state == before
    assert told == replace(FIRING, state=AlertState.ACKNOWLEDGED, acknowledged=LIN, at=LIN.at, version=FIRING.version + 1)


@pytest.mark.parametrize("state", [holding(RESOLVED), BrandState(brand="acme")], ids=["held", "not held"])
def test_what_is_over_is_not_told_again(state: BrandState) -> None:
    assert acknowledged(state, Asked(alert=RESOLVED, acknowledgement=LIN)) == (state, None)
