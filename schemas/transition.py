"""Transitions: one record for each change of layer of one user. Fields are only ever added within v1."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

CE_TYPE = "rflow.transition.v1"


class TransitionKind(StrEnum):
    """Why the layer changed."""

    ADVANCE = "advance"
    RETRACT = "retract"
    DECAY = "decay"
    RECOMPUTE = "recompute"
    MERGE = "merge"
    ERASE = "erase"


class Cause(Struct, gc=False, kw_only=True):
    """The record that caused the transition; of a decay, the evidence that lapsed (`type`) and its time (`at`), the rest null; of a
    recompute, all null."""

    event_id: str | None = None
    type: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    at: str | None = None


class Touch(Struct, gc=False, kw_only=True):
    """The labels of the touchpoint behind the transition; of a decay or recompute, of the user's last touch."""

    channel: str | None = None
    campaign_id: str | None = None
    store_id: str | None = None
    guide_id: str | None = None


class FirstTouch(Struct, gc=False, kw_only=True):
    """The user's earliest touch known when the transition was found."""

    channel: str | None = None
    campaign_id: str | None = None
    at: str | None = None


class Transition(Struct, gc=False, kw_only=True):
    """One change of layer. Times are RFC 3339 with milliseconds, UTC.

    `id` is `shard:version:index`; `seq` grows by one per user; `effective_at` never runs backwards for a user;
    `occurred_at` is the causing event's own time; `dwell_ms` is the time since the user's previous transition (null for the first).
    `former_touch` is what that one told in `touch`: the labels under which the user stood in the layer left. Null for the first, and where
    a build wrote the previous one that did not keep it.
    """

    id: str
    shard: int
    version: int
    index: int
    brand: str
    user_id: str
    seq: int
    from_: str = field(name="from")
    to: str
    direction: Literal["forward", "reverse"]
    kind: TransitionKind
    occurred_at: str
    effective_at: str
    detected_at: str
    late: bool
    dwell_ms: int | None
    ladder: str
    cause: Cause
    touch: Touch
    first_touch: FirstTouch
    former_touch: Touch | None = None
