"""From an acknowledgement to the record that tells it. Pure; the engine alone writes records, so that versions grow by one."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.alert import Alert, AlertState
from warroom.alerts.book import Asked
from warroom.alerts.engine import BrandState


def acknowledged(state: BrandState, asked: Asked) -> tuple[BrandState, Alert | None]:
    """The state that knows who has taken the alert on, and the record that tells it.

    None where there is nothing to tell: the alert is over, or was told as acknowledged before. An alert that the engine does not hold
    (somebody else put it on the topic) is told as the person saw it.
    """
    alert_id = asked.alert.alert_id
    incident = next((one for one in state.incidents if one.alert.alert_id == alert_id), None)
    lasting = next((one for one in state.lasting if one.alert.alert_id == alert_id), None)
    held = incident or lasting
    is_down = state.down is not None and state.down.alert_id == alert_id
    known = held.alert if held is not None else state.down if state.down is not None and is_down else asked.alert
    if known.state is AlertState.RESOLVED or known.acknowledged is not None:
        return state, None
    taken = asked.acknowledgement
    told = replace(known, state=AlertState.ACKNOWLEDGED, acknowledged=taken, at=taken.at, version=known.version + 1)
    if is_down:
        return replace(state, down=told), told
    incidents = tuple(replace(one, alert=told) if one is incident else one for one in state.incidents)
    others = tuple(replace(one, alert=told) if one is lasting else one for one in state.lasting)
    return replace(state, incidents=incidents, lasting=others), told
