"""What goes on now: the live snapshot, once or as a stream, and transitions as they are published."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response

from warroom.web.call import CallOf, tagged
from warroom.web.follow import Filter
from warroom.web.parameters import Brand
from warroom.web.problems import Problem

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="the id of the last event received, as browsers send it by themselves"),
]
_LAYER = r"^[A-Za-z0-9_]+$"
FromLayer = Annotated[
    str | None, Query(alias="from", max_length=32, pattern=_LAYER, description="those that left this layer", examples=["R1"])
]
ToLayer = Annotated[
    str | None, Query(alias="to", max_length=32, pattern=_LAYER, description="those that entered this layer", examples=["R3"])
]
OneChannel = Annotated[str | None, Query(max_length=128, description="this channel only", examples=["douyin"])]


async def snapshot(call: CallOf, brand: Brand) -> Response:
    """The newest snapshot of a brand, at most about a second old while anyone watches; computed for this request if nobody does."""
    found = await call.room.live.snapshot(brand)
    if found is None:
        raise Problem(503, "there is no snapshot yet: ClickHouse or Redis does not answer", headers={"Retry-After": "2"})
    return tagged(call.request, found)


async def stream(call: CallOf, brand: Brand) -> Response:
    """Server-sent events: `snapshot` about once a second, `pulse` while there is no new one, saying what stands still and why."""
    return call.stream(call.room.live.follow(brand))


async def transitions(
    call: CallOf,
    brand: Brand,
    from_: FromLayer = None,
    to: ToLayer = None,
    channel: OneChannel = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events: `transition` for each that is published from now on, or after Last-Event-ID; `gap` where some were missed."""
    wanted = Filter(brand=brand, from_layer=from_, to_layer=to, channel=channel)
    mask = None if call.sees_ids else call.room.mask()
    return call.stream(call.room.follow.follow(wanted, last_event_id, mask))
