"""What there is: the ladder, the brands, how the figures stand, the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from msgspec import Struct
from starlette.responses import HTMLResponse, Response

from warroom.auth.audit import AuditEntry
from warroom.live.freshness import Freshness
from warroom.web.call import CallOf
from warroom.web.docs import docs_page
from warroom.web.parameters import Brand, Limit


class LayerNames(Struct, frozen=True, kw_only=True):
    """A layer and its names by language, lowest first."""

    id: str
    names: dict[str, str]


class ChannelNames(Struct, frozen=True, kw_only=True):
    """A channel as the ladder describes it."""

    id: str
    labels: dict[str, str]
    domain: str
    place: str


class BrandFacts(Struct, frozen=True, kw_only=True):
    """A brand's ladder, calendar, currency (amounts are in its minor units) and channels."""

    brand: str
    ladder: str
    time_zone: str
    turn: str
    currency: str
    layers: list[LayerNames]
    channels: list[ChannelNames]


class Brands(Struct, frozen=True, kw_only=True):
    """The brands that one may see."""

    brands: list[str]


class Shard(Struct, frozen=True, kw_only=True):
    """How far a shard is: steps applied in Redis and stored in ClickHouse, and the event time that is stored."""

    shard: int
    applied: int
    stored: int
    watermark: int | None


class HealthReport(Struct, frozen=True, kw_only=True):
    """How the figures stand. `freshness` is known while anyone watches a live snapshot."""

    freshness: Freshness
    shards: list[Shard]


Latest = Annotated[int, Query(ge=1, le=1_000, description="how many at most")]


async def brands(call: CallOf) -> Brands:
    """The brands that have users, or are named in the ladder."""
    return Brands(brands=sorted(brand for brand in await call.room.brands() if call.principal.sees(brand)))


async def brand_facts(call: CallOf, brand: Brand) -> BrandFacts:
    """What a screen needs to know of a brand before its figures."""
    ladder = call.room.ladder
    zone, turn = ladder.calendar(brand)
    return BrandFacts(
        brand=brand,
        ladder=ladder.id,
        time_zone=zone,
        turn=turn,
        currency=ladder.currency_of(brand),
        layers=[LayerNames(id=layer.id, names=layer.name) for layer in ladder.layers],
        channels=[
            ChannelNames(id=name, labels=channel.label, domain=channel.domain, place=channel.place)
            for name, channel in ladder.channels_of(brand).items()
        ],
    )


async def health(call: CallOf) -> HealthReport:
    """How far every shard is applied and stored."""
    room = call.room
    metas = await room.pool.look(lambda states: states.metas(room.partitions))
    stored = await room.pool.ask(lambda star: star.stored())
    return HealthReport(
        freshness=room.live.freshness(),
        shards=[
            Shard(
                shard=shard,
                applied=meta.version,
                stored=stored[shard].version if shard in stored else 0,
                watermark=(stored[shard].watermark or None) if shard in stored else None,
            )
            for shard, meta in enumerate(metas)
        ],
    )


async def audit(call: CallOf, limit: Limit = 100) -> list[AuditEntry]:
    """The latest entries of the audit log, newest first."""
    return call.room.audit.latest(limit)


async def openapi(call: CallOf) -> Response:
    """This document."""
    return Response(call.request.app.state.openapi, media_type="application/json", headers={"Cache-Control": "private, no-cache"})


async def docs(call: CallOf) -> Response:
    """This document, to be read."""
    return HTMLResponse(docs_page(call.request.app.openapi()))
