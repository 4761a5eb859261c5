"""How a promotion stands: what a wall asks for again and again, so answers are shared and at most a second old."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from msgspec import Meta, Struct
from starlette.responses import Response

from schemas.fields import Minute
from warroom.promotions.board import Board
from warroom.web.board import Shown
from warroom.web.body import read_body
from warroom.web.call import Call, CallOf, tagged
from warroom.web.parameters import At, Step, instant_of
from warroom.web.problems import Problem
from warroom.web.routes.promotions import Edit, PromotionId, minute_of

_MOST_BODY = 1 << 16

Earlier = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        description="the earlier promotion; default: the brand's last one that was over before this one began",
        examples=["d11-2025"],
    ),
]


class WhatIfAsked(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Edits such as `tmall/R3/conversion_rate=8%` that are not saved, against how it stood `at` (null: as far as sales are stored)."""

    edits: Annotated[tuple[Edit, ...], Meta(min_length=1, max_length=100)]
    at: Minute | None = None


async def progress(call: CallOf, promotion_id: PromotionId, at: At = None) -> Response:
    """Original plan, current plan and actual side by side; the projected end with its range; what a shortfall is made of, as a sentence."""
    instant = instant_of(at)
    shown = await call.room.board.show(
        ("progress", promotion_id, instant), (promotion_id,), lambda board: board.show(promotion_id, instant)
    )
    return _answer(call, shown)


async def pacing(call: CallOf, promotion_id: PromotionId, at: At = None, step: Step = 5) -> Response:
    """The pacing chart: both plans, actual and projection with its range, at the same instants; cumulative GMV and orders."""
    instant = instant_of(at)
    shown = await call.room.board.show(
        ("pacing", promotion_id, instant, step), (promotion_id,), lambda board: board.pacing(promotion_id, instant, step)
    )
    return _answer(call, shown)


async def beside(call: CallOf, promotion_id: PromotionId, earlier: Earlier = None, at: At = None, step: Step = 1) -> Response:
    """Orders and GMV of each step beside the same clock time of an earlier promotion."""
    instant = instant_of(at)
    named = (promotion_id,) if earlier is None else (promotion_id, earlier)
    shown = await call.room.board.show(
        ("beside", named, instant, step), named, lambda board: board.beside(promotion_id, earlier, instant, step)
    )
    return _answer(call, shown)


async def what_if(call: CallOf, promotion_id: PromotionId) -> Response:
    """What edits would make of the newest version's target, and of the projected end. Saves nothing."""
    asked = await read_body(call.request, WhatIfAsked, _MOST_BODY)
    instant = minute_of(asked.at)

    def work(board: Board) -> Struct:
        return board.what_if(promotion_id, asked.edits, instant)

    shown = await call.room.board.show(("what if", promotion_id, asked.edits, instant), (promotion_id,), work)
    return Response(seen(call, shown), headers={"Cache-Control": "no-store"}, media_type="application/json")


def _answer(call: Call, shown: Shown) -> Response:
    return tagged(call.request, seen(call, shown))


def seen(call: Call, shown: Shown) -> bytes:
    """What is told of promotions. Raises Problem 404 also for what is not theirs to see."""
    if not all(call.principal.sees(brand) for brand in shown.brands):
        raise Problem(404, "expected a promotion that is there and that you may see; /api/v1/promotions lists them")
    return shown.body
