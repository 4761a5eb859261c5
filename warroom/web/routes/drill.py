"""Figures narrowed to labels: what a channel is made of, and how one went by the minute."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from schemas.times import MINUTE_MS
from warroom.drill import Dimension, LabelLine, Steps
from warroom.lists import Span
from warroom.web.call import CallOf
from warroom.web.parameters import Brand, From, Limit, OneLabel, SpanAsked, Step, To, whole_minutes
from warroom.web.problems import Problem

_MOST_STEPS = 50_000

SplitBy = Annotated[Dimension, Query(description="what the lines are told apart by; layer: the one that buyers stood in")]
OfDimension = Annotated[Dimension | None, Query(description="the dimension of the label; default: the whole brand")]


async def labels(
    call: CallOf,
    asked: SpanAsked,
    by: SplitBy,
    limit: Limit = 100,
) -> list[LabelLine]:
    """What each label sold and moved in the period, the best by GMV first; with labels to keep to, of these alone."""
    span = asked()
    room = call.room
    found: list[LabelLine] = await room.shared.get(
        ("labels", span, by, limit), lambda: room.pool.ask(lambda drill: drill.label_lines(span, by, limit))
    )
    return found


async def steps(call: CallOf, brand: Brand, from_: From, to: To, by: OfDimension = None, label: OneLabel = "", step: Step = 1) -> Steps:
    """One label, or the whole brand, step by step: orders, GMV, transitions forward and reverse."""
    start, end = whole_minutes(from_, to)
    if (end - start) / (step * MINUTE_MS) > _MOST_STEPS:
        raise Problem(400, f"expected {_MOST_STEPS} steps at most: ask for a shorter period or longer steps")
    span = Span(brand=brand, start=start, end=end)
    room = call.room
    found: Steps = await room.shared.get(
        ("steps", span, by, label, step), lambda: room.pool.ask(lambda drill: drill.label_steps(span, by, label, step))
    )
    return found
