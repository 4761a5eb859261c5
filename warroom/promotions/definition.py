"""A promotion as people write it down: a YAML or JSON file, times in the brand's own time zone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, field

from schemas.fields import Count, Share
from schemas.ladder import Ladder
from schemas.promotion import Phase, PhaseName, PlanPoint, Promotion, Target, Window
from schemas.times import MINUTE_MS, from_datetime, to_rfc3339
from schemas.touchpoint import Id
from schemas.yaml_reader import MistakesError, read_yaml
from warroom.promotions.errors import PromotionInvalid
from warroom.targets import leaves, scope_of

_CLOCK = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:\d{2})?$"
_PATTERNS = {_CLOCK: 'a time in quotes such as "2026-11-11 00:00"'}

When = Annotated[str, Meta(pattern=_CLOCK)]
"""A minute: of the brand's time zone, or with an offset."""


class WrittenPhase(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a phase runs."""

    phase: PhaseName
    from_: When = field(name="from")
    to: When


class WrittenWindow(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the promotion runs, the end not included."""

    from_: When = field(name="from")
    to: When


class WrittenPoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """By this minute of the window so much of the target is due."""

    minute: Count
    share: Share


class Definition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a promotion but its history. Order values are in minor units."""

    promotion_id: Id
    brand: Id
    name: Id
    window: WrittenWindow
    phases: tuple[WrittenPhase, ...] = ()
    target: Target
    plan: tuple[WrittenPoint, ...] = ()


def read_definition(text: str, file: str) -> Definition:
    """What a YAML or JSON text defines; `file` is what messages call it. Raises PromotionInvalid with a line for each mistake."""
    try:
        return read_yaml(text, file, Definition, _PATTERNS).value
    except MistakesError as error:
        raise PromotionInvalid(str(error)) from None


def convert_definition(values: object) -> Definition:
    """What JSON values define (of a request). Raises PromotionInvalid, which names the path of the mistake."""
    try:
        return msgspec.convert(values, Definition)
    except msgspec.ValidationError as error:
        raise PromotionInvalid(str(error)) from None


def first_version(
    definition: Definition, ladder: Ladder, *, by: str, because: str, now: int, plan: tuple[PlanPoint, ...] = ()
) -> Promotion:
    """Version 1, in force from the window's begin. A `plan` given stands for the definition's. Raises PromotionInvalid."""
    zone = ladder.calendar(definition.brand)[0]
    try:
        window = Window(from_=minute_text(definition.window.from_, zone), to=minute_text(definition.window.to, zone))
        made = Promotion(
            promotion_id=definition.promotion_id,
            brand=definition.brand,
            name=definition.name,
            version=1,
            changed_by=by,
            changed_at=to_rfc3339(now),
            reason=because,
            effective_from=window.from_,
            window=window,
            phases=tuple(
                Phase(phase=one.phase, from_=minute_text(one.from_, zone), to=minute_text(one.to, zone)) for one in definition.phases
            ),
            target=definition.target,
            plan=plan or tuple(PlanPoint(point.minute, point.share) for point in definition.plan),
        )
    except ValueError as error:
        raise PromotionInvalid(str(error)) from None
    return checked(made, ladder)


def checked(promotion: Promotion, ladder: Ladder) -> Promotion:
    """The promotion, if all of it makes sense. Raises PromotionInvalid."""
    try:
        promotion = msgspec.json.decode(msgspec.json.encode(promotion), type=Promotion)
    except msgspec.ValidationError as error:
        raise PromotionInvalid(str(error)) from None
    layers = [layer.id for layer in ladder.layers]
    for leaf in leaves(promotion.target):
        strange = [row.layer for row in leaf.layers if row.layer not in layers]
        if strange:
            where = scope_of(leaf).path or "the brand"
            raise PromotionInvalid(f"expected layers of {', '.join(layers)} for {where}, found {', '.join(strange)}")
    twice = [scope.path for scope, times in Counter(scope_of(leaf) for leaf in leaves(promotion.target)).items() if times > 1]
    if twice:
        raise PromotionInvalid(f"expected each channel and store once in the target tree, found {', '.join(twice)} twice")
    if not promotion.reason.strip() or not promotion.changed_by.strip():
        raise PromotionInvalid("expected who makes the change and why, found nothing")
    return promotion


def minute_text(text: str, zone: str) -> str:
    """`2026-11-11 00:00` of a time zone, or a time with an offset, as records carry it. Raises PromotionInvalid unless it is a minute."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise PromotionInvalid(f"expected a time such as 2026-11-11 00:00, found {text!r}") from None
    ms = from_datetime(at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)))
    if ms % MINUTE_MS:
        raise PromotionInvalid(f"expected a whole minute, found {text!r}")
    return to_rfc3339(ms)


TEMPLATE = """\
# A promotion. Times are of the brand's time zone unless they carry an offset; money is in minor units (fen: 29900 is 299 yuan).
promotion_id: acme-d11-2026        # its name through all versions
brand: acme
name: Double 11 2026
window: {from: "2026-11-10 20:00", to: "2026-11-12 00:00"}    # the end is not included
phases:                            # teaser, presale, peak, encore; one after another, within the window; may be left out
  - {phase: presale, from: "2026-11-10 20:00", to: "2026-11-11 00:00"}
  - {phase: peak, from: "2026-11-11 00:00", to: "2026-11-12 00:00"}

# The target tree. GMV is the sum over layers of headcount x conversion_rate x order_value, down to a channel or store, each with its owner.
# headcount counts everybody who stands in the layer at any time of the window, conversion_rate the orders of each, from 0 to 1. Of a
# channel or store: whom a touchpoint of it brought to the layer; their orders count there, wherever they are placed.
target:
  owner: chen
  parts:
    - owner: li
      channel: tmall
      layers:
        - {layer: R2, headcount: 400000, conversion_rate: 0.02, order_value: 32000}
        - {layer: R3, headcount: 90000, conversion_rate: 0.08, order_value: 41000}
    - owner: wang
      channel: store
      parts:
        - owner: zhao
          channel: store
          store_id: sh-017
          layers:
            - {layer: R3, headcount: 3000, conversion_rate: 0.15, order_value: 68000}

# By which minute of the window which share of the target is due, straight lines between; left out: evenly. Or take the curve of an earlier
# promotion (--plan-like ID) or of a file (--plan FILE.csv).
plan:
  - {minute: 0, share: 0}
  - {minute: 240, share: 0.15}
  - {minute: 300, share: 0.45}
  - {minute: 1680, share: 1}
"""
