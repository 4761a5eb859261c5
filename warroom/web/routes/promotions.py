"""Promotions: read, create, change. A change says on which version it builds: If-Match, as the ETag told it."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from fastapi import Header, Path, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from schemas.fields import Minute
from schemas.promotion import PlanPoint, Promotion
from schemas.times import from_rfc3339
from schemas.touchpoint import Id
from warroom.plan_curve import laid_over
from warroom.plan_file import from_file
from warroom.promotions.definition import Definition
from warroom.promotions.desk import Saved
from warroom.web.body import read_body
from warroom.web.call import Call, CallOf, tagged
from warroom.web.desk import version_tag
from warroom.web.problems import Problem

_MOST_BODY = 1 << 20
_TAG = re.compile(r'"([1-9][0-9]{0,8})"')

PromotionId = Annotated[str, Path(min_length=1, max_length=128, description="the promotion's id", examples=["d11-2026"])]
OfBrand = Annotated[str | None, Query(alias="brand", max_length=128, description="of this brand only", examples=["acme"])]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match", max_length=64, description="the ETag of the version that this change builds on; 428 without it", examples=['"3"']
    ),
]
Edit = Annotated[str, Meta(min_length=1, max_length=500)]
PlanFile = Annotated[str, Meta(min_length=1, max_length=400_000)]
Because = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]


class NewPromotion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A promotion to be made, and why.

    Instead of the definition's plan: `plan_like`, the curve of an earlier promotion's GMV, or `plan_file`, a file's text (CSV of lines
    `minute,share` or `minute,gmv`, or JSON of points).
    """

    definition: Definition
    because: Because
    plan_like: Id | None = None
    plan_file: PlanFile | None = None


class Replacement(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the promotion is to be from a minute on (null: the next), and why.

    `plan_like` and `plan_file` as for a new one; `plan_kept`: the plan of the version that this change builds on, stretched to the window
    and, where they are the same ones, to the phases.
    """

    definition: Definition
    because: Because
    effective_from: Minute | None = None
    plan_like: Id | None = None
    plan_file: PlanFile | None = None
    plan_kept: bool = False


class Adjustment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Edits such as `tmall/R3/conversion_rate=8%` or `*/R4/headcount=x1.1`, in force from a minute on (null: the next), and why."""

    edits: Annotated[tuple[Edit, ...], Meta(min_length=1, max_length=100)]
    because: Because
    effective_from: Minute | None = None


class Promotions(Struct, frozen=True, kw_only=True):
    """The newest version of every promotion that one may see."""

    items: list[Promotion]


class Versions(Struct, frozen=True, kw_only=True):
    """Every version of a promotion, oldest first."""

    items: list[Promotion]


async def promotions(call: CallOf, of_brand: OfBrand = None) -> Promotions:
    """The newest version of every promotion."""
    found = await call.room.desk.ask(lambda desk: desk.newest(of_brand))
    return Promotions(items=[one for one in found if call.principal.sees(one.brand)])


async def promotion(call: CallOf, promotion_id: PromotionId) -> Response:
    """The newest version of a promotion; its ETag is what a change has to name."""
    newest = (await _versions(call, promotion_id))[-1]
    return tagged(call.request, msgspec.json.encode(newest), tag=version_tag(newest.version))


async def versions(call: CallOf, promotion_id: PromotionId) -> Versions:
    """Every version of a promotion: what changed, who changed it and why."""
    return Versions(items=await _versions(call, promotion_id))


async def create(call: CallOf) -> Response:
    """Make a promotion. 409 if there is one of that id."""
    asked = await read_body(call.request, NewPromotion, _MOST_BODY)
    definition = asked.definition
    if not call.principal.sees(definition.brand):
        raise Problem(403, "expected a brand that you may see")
    plan = await _plan(call, asked)
    saved = await call.room.desk.ask(lambda desk: desk.create(definition, by=call.principal.name, because=asked.because, plan=plan))
    return _saved(call, "create promotion", saved, 201)


async def replace(call: CallOf, promotion_id: PromotionId, if_match: IfMatch = None) -> Response:
    """Say a promotion anew. 412 if somebody else changed it meanwhile."""
    asked = await read_body(call.request, Replacement, _MOST_BODY)
    built_on = _version(if_match)
    versions = await _versions(call, promotion_id)
    plan = await _plan(call, asked, next((one for one in versions if one.version == built_on), None))
    saved = await call.room.desk.ask(
        lambda desk: desk.replace(
            promotion_id,
            asked.definition,
            by=call.principal.name,
            because=asked.because,
            plan=plan,
            effective_from=minute_of(asked.effective_from),
            if_version=built_on,
        )
    )
    return _saved(call, "replace promotion", saved, 200)


async def adjust(call: CallOf, promotion_id: PromotionId, if_match: IfMatch = None) -> Response:
    """Change targets while the promotion runs. 412 if somebody else changed it meanwhile."""
    asked = await read_body(call.request, Adjustment, _MOST_BODY)
    built_on = _version(if_match)
    await _versions(call, promotion_id)
    saved = await call.room.desk.ask(
        lambda desk: desk.adjust(
            promotion_id,
            asked.edits,
            by=call.principal.name,
            because=asked.because,
            effective_from=minute_of(asked.effective_from),
            if_version=built_on,
        )
    )
    return _saved(call, "adjust promotion", saved, 200, detail="; ".join(asked.edits)[:500])


async def _versions(call: Call, promotion_id: Id) -> list[Promotion]:
    """Raises Problem 404 also for one that is not theirs to see."""
    found = await call.room.desk.ask(lambda desk: desk.versions(promotion_id))
    if not call.principal.sees(found[-1].brand):
        raise Problem(404, "expected a promotion that is there and that you may see; /api/v1/promotions lists them")
    return found


async def _plan(call: Call, asked: NewPromotion | Replacement, base: Promotion | None = None) -> tuple[PlanPoint, ...]:
    """The plan asked for beside the definition's, none for that. `base` is what is changed. Raises Problem 400, 404."""
    like, file = asked.plan_like, asked.plan_file
    kept = base if isinstance(asked, Replacement) and asked.plan_kept else None
    if sum(way is not None for way in (like, file, kept)) + bool(asked.definition.plan) > 1:
        raise Problem(400, "expected one of the definition's plan, plan_like, plan_file and plan_kept, found more")
    if like is not None:
        earlier = like
        await _versions(call, earlier)
        return await call.room.board.curve(asked.definition, lambda board, made: board.curve_of(earlier, made))
    if file is not None:
        text = file
        return await call.room.board.curve(asked.definition, lambda _, made: from_file(text, made.minutes))
    if kept is not None:
        version = kept
        return await call.room.board.curve(asked.definition, lambda _, made: laid_over(version, made.window, made.phases))
    return ()


def _version(if_match: str | None) -> int:
    if if_match is None:
        raise Problem(428, "expected If-Match with the ETag of the version that this change builds on")
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise Problem(412, f'expected If-Match as the ETag of a promotion gives it, such as "3", found {if_match}')
    return int(found[1])


def minute_of(text: str | None) -> int | None:
    """A minute of a body in epoch milliseconds. Raises Problem 400."""
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Problem(400, f"body: expected a day that the calendar has, found {text}") from None


def _saved(call: Call, action: str, saved: Saved, status: int, detail: str = "") -> Response:
    made = saved.promotion
    call.audit(action, f"{made.brand} {made.promotion_id} version {made.version}", detail=detail or made.reason)
    headers = {"ETag": version_tag(made.version), "Cache-Control": "no-store"}
    if status == 201:
        headers["Location"] = call.request.url_for("promotion", promotion_id=made.promotion_id).path
    return Response(msgspec.json.encode(made), status, headers, "application/json")
