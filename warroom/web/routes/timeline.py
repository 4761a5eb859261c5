"""The annotated timeline: changes of targets, alerts and operators' notes in one list; notes are written and taken away here."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Path
from msgspec import Struct
from starlette.responses import Response

from schemas.fields import Minute
from schemas.promotion import Promotion
from warroom.notes import Note, Text, TooManyNotes
from warroom.promotions.desk import Desk
from warroom.timeline import Timeline
from warroom.timeline import timeline as merged
from warroom.web.body import read_body
from warroom.web.call import CallOf
from warroom.web.parameters import Brand, From, To, whole_minutes
from warroom.web.problems import Problem
from warroom.web.routes.alerts import stood
from warroom.web.routes.promotions import minute_of

_MOST_BODY = 1 << 14

NoteId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="the note's id", examples=["0123456789abcdef"])]


class NewNote(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A note about a minute (null: this one)."""

    text: Text
    at: Minute | None = None


async def timeline(call: CallOf, brand: Brand, from_: From, to: To) -> Timeline:
    """What happened in the period: changes of targets at the minute from which they count, alerts where what they tell of began, notes at
    the minute they are about. More than 1,000 alerts of a period: the latest."""
    start, end = whole_minutes(from_, to)

    def versions(desk: Desk) -> list[list[Promotion]]:
        return [desk.versions(one.promotion_id) for one in desk.newest(brand)]

    promotions = await call.room.desk.ask(versions)
    notes = await call.room.pool.do(lambda: call.room.notes.between(brand, start, end))
    return merged(start, end, promotions, notes, await stood(call, brand, start, end))


async def write_note(call: CallOf, brand: Brand) -> Response:
    """Write a note on the timeline. 409 where the brand has as many as it may have."""
    asked = await read_body(call.request, NewNote, _MOST_BODY)
    at = minute_of(asked.at)
    now = call.room.now()

    def write(desk: Desk) -> Note:
        minute = desk.event_now() if at is None else at
        return call.room.notes.add(brand, minute, asked.text, author=call.principal.name, now=now)

    try:
        note = await call.room.desk.ask(write)
    except TooManyNotes as error:
        raise Problem(409, str(error)) from error
    call.audit("write note", f"{brand} {note.note_id}", detail=note.text[:500])
    return Response(msgspec.json.encode(note), 201, {"Cache-Control": "no-store"}, "application/json")


async def remove_note(call: CallOf, brand: Brand, note_id: NoteId) -> Response:
    """Take a note away; the audit log keeps what it said."""
    note = await call.room.pool.do(lambda: call.room.notes.remove(brand, note_id))
    if note is None:
        raise Problem(404, "expected a note that is there; the timeline lists them")
    call.audit("remove note", f"{brand} {note_id}", detail=f"{note.author}: {note.text}"[:500])
    return Response(status_code=204)
