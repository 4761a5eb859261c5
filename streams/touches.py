"""The touches that a user's state keeps, as records tell them."""

from __future__ import annotations

from schemas.transition import Touch
from streams.labels import Labels
from streams.state import UNTOLD, State


def last_touch(state: State, labels: Labels) -> Touch:
    """The user's latest touch: what a decay tells."""
    return _touch(labels, state.last_channel, state.last_campaign, state.last_store, state.last_guide)


def layer_touch(state: State, labels: Labels) -> Touch | None:
    """What brought the user to their layer: what their latest transition told. None before the first, and if an earlier build told it."""
    if not state.seq or state.layer_channel == UNTOLD:
        return None
    return _touch(labels, state.layer_channel, state.layer_campaign, state.layer_store, state.layer_guide)


def note_layer_touch(state: State, labels: Labels, touch: Touch) -> None:
    """Keeps what a transition tells."""
    state.layer_channel = labels[touch.channel]
    state.layer_campaign = labels[touch.campaign_id]
    state.layer_store = labels[touch.store_id]
    state.layer_guide = labels[touch.guide_id]


def _touch(labels: Labels, *refs: int | str | None) -> Touch:
    channel, campaign, store, guide = (labels.text(ref) for ref in refs)
    return Touch(channel=channel, campaign_id=campaign, store_id=store, guide_id=guide)
