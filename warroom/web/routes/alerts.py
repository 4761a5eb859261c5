"""Alerts: those that are open, all that were, one with its history; acknowledged here, silenced here.

The engine's book in Redis is the truth (`warroom.alerts.book`): an acknowledgement is kept there at once, and told on the topic and the
channels by the engine.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from schemas.alert import Acknowledgement, Alert
from schemas.times import LAST_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from schemas.touchpoint import Id
from sinks.errors import StoreAway
from warroom.alerts.book import TooManySilences
from warroom.alerts.kept import Place
from warroom.alerts.silence import Silence
from warroom.alerts.standing import Standing, by_weight, held_alerts, is_open, newest, standing
from warroom.promotions.desk import Desk
from warroom.web.body import read_body
from warroom.web.call import Call, CallOf, answer
from warroom.web.cursors import decode_cursor, encode_cursor
from warroom.web.parameters import Brand, Cursor, Limit, OptionalFrom, OptionalTo, whole_minutes
from warroom.web.problems import Problem

_MOST_BODY = 1 << 14
_MOST_OPEN = 200
_MOST_KEPT = 1_000
_KEPT_SECONDS = 3.0
"""How long ClickHouse is waited for before what the engine holds is told alone."""
_LONGEST_MINUTES = 30 * 24 * 60

AlertId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[^\u0000]*$", description="the alert's id")]
SilenceId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="the silence's id", examples=["0123456789abcdef"])]
OfPromotion = Annotated[
    str | None, Query(alias="promotion", max_length=128, description="the window of this promotion, instead of `from` and `to`")
]
Which = Annotated[Literal["all", "open"], Query(alias="state", description="all, or those that are not over")]
Word = Annotated[str, Meta(max_length=128, pattern=r"^[^\u0000]*$")]


class OpenAlerts(Struct, frozen=True, kw_only=True):
    """What is open now, the most pressing first; `more` are left out. `kept` false: ClickHouse does not answer in time, and this is what
    the engine holds, with what ClickHouse said last."""

    items: list[Standing]
    more: int
    kept: bool


class Alerts(Struct, frozen=True, kw_only=True):
    """A page of alerts as they stand, the latest to begin first; `next` leads to earlier ones, null at the end."""

    items: list[Standing]
    next: str | None


class AlertHistory(Struct, frozen=True, kw_only=True):
    """An alert as it stands, and every state that it had, oldest first."""

    now: Standing
    states: list[Alert]


class Acknowledge(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """That one takes an alert on, and what one has to say about it."""

    note: Annotated[str, Meta(max_length=500)] = ""


class NewSilence(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A silence from now on, for so many minutes by the wall clock: of one detector (`rule`), flow (`R2>R3`) and channel, empty for any."""

    minutes: Annotated[int, Meta(ge=1, le=_LONGEST_MINUTES)]
    because: Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]
    rule: Word = ""
    flow: Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,31}>[A-Za-z][A-Za-z0-9_]{0,31})?$")] = ""
    channel: Word = ""


class Silences(Struct, frozen=True, kw_only=True):
    """Silences of a brand, those that end last first; those of the last 30 days that are over, too."""

    items: list[Silence]


async def open_alerts(call: CallOf, brand: Brand) -> OpenAlerts:
    """What is open now, found once for all who look. What the engine holds is ahead of ClickHouse, and told also while that is away."""
    found: OpenAlerts = await call.room.shared.get(("open alerts", brand, call.room.alert_changes), lambda: _open(call, brand))
    return found


async def alerts(
    call: CallOf,
    brand: Brand,
    from_: OptionalFrom = None,
    to: OptionalTo = None,
    promotion: OfPromotion = None,
    state: Which = "all",
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Alerts:
    """Alerts that stood at any time of a period, or of a promotion's window, as ClickHouse keeps them; without either, all of them."""
    start, end = await _period(call, brand, from_, to, promotion)
    behind = decode_cursor("alerts", cursor, tuple[_Instant, Word])
    place = None if behind is None else Place(since=behind[0], alert_id=behind[1])
    found = await call.room.pool.ask(
        lambda kept: kept.standing(brand, limit + 1, start=start, end=end, only_open=state == "open", behind=place)
    )
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        following = encode_cursor("alerts", from_rfc3339(last.since), last.alert_id)
    return Alerts(items=await _standing(call, found[:limit]), next=following)


async def alert(call: CallOf, brand: Brand, alert_id: AlertId) -> AlertHistory:
    """An alert and every state that it had."""
    states = await _states(call, brand, alert_id)
    (now,) = await _standing(call, [states[-1]])
    return AlertHistory(now=now, states=states)


async def acknowledge(call: CallOf, brand: Brand, alert_id: AlertId) -> Response:
    """Take an alert on. It counts at once; the topic and the channels are told by the engine. 409 if it is over, or somebody else's."""
    asked = await read_body(call.request, Acknowledge, _MOST_BODY)
    last = await _last(call, brand, alert_id)
    if not is_open(last):
        raise Problem(409, f"it was over at {last.at}: there is nothing to take on")
    at = await call.room.desk.ask(lambda desk: desk.event_now())
    mine = Acknowledgement(by=call.principal.name[:128], at=to_rfc3339(at), note=asked.note)
    stands = await call.room.pool.do(lambda: call.room.alerts.acknowledge(last, mine))
    if stands.by != mine.by:
        raise Problem(409, f"{stands.by} has taken it on at {stands.at}")
    if stands == mine:
        call.audit("acknowledge alert", f"{brand} {alert_id}", detail=asked.note)
    (now,) = await _standing(call, [last])
    call.room.alert_changes += 1
    return answer(call.request, now)


async def silences(call: CallOf, brand: Brand) -> Silences:
    """Silences: running, to be ended early, and over."""
    found = await call.room.pool.do(call.room.alerts.silences)
    return Silences(items=sorted((one for one in found if one.brand == brand), key=lambda one: (-one.until, one.silence_id)))


async def create_silence(call: CallOf, brand: Brand) -> Response:
    """Keep alerts that match from the channels for a while; the topic and the screen tell them all the same. 409 beyond what may be."""
    asked = await read_body(call.request, NewSilence, _MOST_BODY)
    now = call.room.now()
    made = Silence(
        silence_id=secrets.token_hex(8),
        brand=brand,
        rule=asked.rule,
        flow=asked.flow,
        channel=asked.channel,
        until=now + asked.minutes * MINUTE_MS,
        by=call.principal.name,
        because=asked.because,
        created_at=now,
    )
    try:
        await call.room.pool.do(lambda: call.room.alerts.silence(made, now))
    except TooManySilences as error:
        raise Problem(409, str(error)) from error
    what = " ".join(part for part in (made.rule, made.flow, made.channel) if part) or "everything"
    call.audit("silence alerts", f"{brand} {made.silence_id}", detail=f"{what}, {asked.minutes} min: {made.because}"[:500])
    call.room.alert_changes += 1
    return Response(msgspec.json.encode(made), 201, {"Cache-Control": "no-store"}, "application/json")


async def end_silence(call: CallOf, brand: Brand, silence_id: SilenceId) -> Response:
    """End a silence now. 404 if there is none that runs."""
    who, now = call.principal.name, call.room.now()
    ended = await call.room.pool.do(lambda: call.room.alerts.end_silence(brand, silence_id, by=who, now=now))
    if ended is None:
        raise Problem(404, "expected a silence that runs; the list of silences tells them")
    call.audit("end silence", f"{brand} {silence_id}", detail=f"{ended.by}: {ended.because}"[:500])
    call.room.alert_changes += 1
    return Response(status_code=204)


_Instant = Annotated[int, Meta(ge=0, le=LAST_MS)]


async def stood(call: Call, brand: str, start: int, end: int) -> list[Alert]:
    """Alerts that stood at any time of a period, the 1,000 latest, found once for all who look; while ClickHouse is away those that the
    engine holds."""

    async def compute() -> list[Alert]:
        held = [one for one in await _held(call, brand) if from_rfc3339(one.since) < end]
        kept, _ = await _kept(call, brand, start=start, end=end)
        return newest(held, kept)

    found: list[Alert] = await call.room.shared.get(("alerts", brand, start, end, call.room.alert_changes), compute)
    return found


async def _open(call: Call, brand: str) -> OpenAlerts:
    held = await _held(call, brand)
    kept, known = await _kept(call, brand, only_open=True)
    if known:
        call.room.kept_alerts[brand] = kept
    else:  # what it said last: what was open does not vanish because ClickHouse is slow
        kept = call.room.kept_alerts.get(brand, [])
    found = await _standing(call, [one for one in newest(held, kept) if is_open(one)])
    return OpenAlerts(items=sorted(found, key=by_weight)[:_MOST_OPEN], more=max(0, len(found) - _MOST_OPEN), kept=known)


async def _kept(call: Call, brand: str, **asked: Any) -> tuple[list[Alert], bool]:
    """What ClickHouse keeps, and whether it says so in time."""
    try:
        async with asyncio.timeout(_KEPT_SECONDS):
            return await call.room.pool.ask(lambda reader: reader.standing(brand, _MOST_KEPT, **asked)), True
    except (StoreAway, TimeoutError):
        return [], False


async def _held(call: Call, brand: str) -> list[Alert]:
    return await call.room.pool.do(lambda: held_alerts(call.room.alerts.load(brand)[1]))


async def _standing(call: Call, found: list[Alert]) -> list[Standing]:
    book = call.room.alerts

    def look() -> list[Standing]:
        return standing(found, book.acknowledgements([one.alert_id for one in found]), book.silences(), call.room.now())

    return await call.room.pool.do(look)


async def _last(call: Call, brand: str, alert_id: str) -> Alert:
    """The newest state; of what the engine holds also while ClickHouse is away. Raises Problem 404."""
    held = next((one for one in await _held(call, brand) if one.alert_id == alert_id), None)
    return held or (await _states(call, brand, alert_id))[-1]


async def _states(call: Call, brand: str, alert_id: str) -> list[Alert]:
    """Every state, that of the engine included. Raises Problem 404."""
    held = [one for one in await _held(call, brand) if one.alert_id == alert_id]
    kept = await call.room.pool.ask(lambda reader: reader.states(brand, alert_id))
    states = kept + [one for one in held if not kept or one.version > kept[-1].version]
    if not states:
        raise Problem(404, "expected an alert of this brand; the list of alerts tells them")
    return states


async def _period(call: Call, brand: str, from_: str | None, to: str | None, promotion: Id | None) -> tuple[int, int]:
    if promotion is not None:
        return await call.room.desk.ask(lambda desk: _window(desk, brand, promotion))
    if from_ is None and to is None:
        return 0, LAST_MS
    if from_ is None or to is None:
        raise Problem(400, "expected both `from` and `to`, or neither")
    return whole_minutes(from_, to)


def _window(desk: Desk, brand: str, promotion: str) -> tuple[int, int]:
    newest_version = desk.versions(promotion)[-1]
    if newest_version.brand != brand:
        raise Problem(404, "expected a promotion of this brand")
    return newest_version.window.from_ms, newest_version.window.to_ms
