"""Lists of users to hand on: audiences for ad platforms, and whom to leave alone, having just bought. Each export is on record."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from fastapi import Query
from msgspec import Struct
from starlette.responses import Response

from schemas.times import DAY_MS
from schemas.touchpoint import Id
from warroom.lists import Buyer, Member
from warroom.web.call import Call, CallOf, answer
from warroom.web.cursors import decode_cursor, encode_cursor
from warroom.web.parameters import Brand, Campaign, Channel, Cursor, ExportLimit, LayerId
from warroom.web.problems import Problem


class Format(StrEnum):
    """How a list is written: one JSON document, a JSON line each, or CSV. Of the latter two `Link: rel="next"` leads on."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


FormatOf = Annotated[Format, Query(alias="format", description="how the list is written")]
Days = Annotated[int, Query(ge=1, le=90, description="bought within so many days")]

MEDIA_TYPES = {Format.JSON: "application/json", Format.JSONL: "application/x-ndjson", Format.CSV: "text/csv; charset=utf-8"}


class Audience(Struct, frozen=True, kw_only=True):
    """A page of users in a layer, by id; `next` leads on, null at the end."""

    items: list[Member]
    next: str | None


class Suppression(Struct, frozen=True, kw_only=True):
    """A page of users who have just bought, by id; `next` leads on, null at the end."""

    items: list[Buyer]
    next: str | None


async def audience(
    call: CallOf,
    brand: Brand,
    layer: LayerId,
    channel: Channel = "",
    campaign_id: Campaign = "",
    form: FormatOf = Format.JSON,
    cursor: Cursor = None,
    limit: ExportLimit = 10_000,
) -> Response:
    """Users who stand in a layer by their last transition, of the channel or campaign that led them there."""
    if layer not in call.room.layers:
        raise Problem(404, f"expected a layer of the ladder: {', '.join(call.room.layers)}")
    if layer == call.room.layers[0]:
        raise Problem(400, f"expected a layer above {layer}: who stands outside is nobody's audience")
    after = _after("audience", cursor)
    found = await call.room.pool.ask(lambda lists: lists.members(brand, layer, channel, campaign_id, limit + 1, after))
    call.audit("export audience", f"{brand} {layer}", detail=f"{len(found[:limit])} users, channel {channel!r}, campaign {campaign_id!r}")
    following = _following("audience", [one.user_id for one in found], limit)
    return _written(call, Audience(items=found[:limit], next=following), form)


async def suppression(
    call: CallOf, brand: Brand, days: Days = 7, form: FormatOf = Format.JSON, cursor: Cursor = None, limit: ExportLimit = 10_000
) -> Response:
    """Users who have bought within the last days, counted back from the event time that is stored."""
    after = _after("suppression", cursor)

    watermark = await call.room.pool.ask(lambda lists: lists.stored_watermark()) or call.room.now()
    found = await call.room.pool.ask(lambda lists: lists.buyers(brand, max(0, watermark - days * DAY_MS), watermark + 1, limit + 1, after))
    call.audit("export suppression", brand, detail=f"{len(found[:limit])} users, {days} days")
    following = _following("suppression", [one.user_id for one in found], limit)
    return _written(call, Suppression(items=found[:limit], next=following), form)


def _after(kind: str, cursor: str | None) -> str:
    place = decode_cursor(kind, cursor, tuple[Id])
    return "" if place is None else place[0].replace("\0", "")


def _following(kind: str, ids: list[str], limit: int) -> str | None:
    return encode_cursor(kind, ids[limit - 1]) if len(ids) > limit else None


def _written(call: Call, page: Audience | Suppression, form: Format) -> Response:
    if form is Format.JSON:
        return answer(call.request, page)
    rows: Sequence[Any] = page.items
    body = _lines(rows) if form is Format.JSONL else _csv(rows, Member if isinstance(page, Audience) else Buyer)
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": f'attachment; filename="users.{form.value}"'}
    if page.next is not None:
        link = call.request.url.include_query_params(cursor=page.next)
        headers["Link"] = f'<{link.path}?{link.query}>; rel="next"'
    return Response(body, headers=headers, media_type=MEDIA_TYPES[form])


def _lines(rows: Sequence[Any]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _csv(rows: Sequence[Any], of: type[Struct]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(of.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(row) for row in rows)
    return text.getvalue().encode()
