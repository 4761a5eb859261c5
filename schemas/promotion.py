"""Promotions: a big-sale window, its phases, its target and the plan by which the target is to be reached.

A record is one version; a change of targets is a new version, from a given minute on, with who and why. The topic is compacted
by `promotion_id`; readers keep the highest version of each.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise

from msgspec import Struct, field

from schemas.fields import Count, Minute, Rfc3339, Share, Version
from schemas.times import MINUTE_MS, from_rfc3339
from schemas.touchpoint import Id

CE_TYPE = "rflow.promotion.v1"


class PhaseName(StrEnum):
    """The phases of a big sale. A sale in waves has some of them twice."""

    TEASER = "teaser"
    PRESALE = "presale"
    PEAK = "peak"
    ENCORE = "encore"


class Window(Struct, frozen=True, kw_only=True):
    """From a minute to a later one, the end not included."""

    from_: Minute = field(name="from")
    to: Minute

    def __post_init__(self) -> None:
        if self.from_ms >= self.to_ms:
            raise ValueError(f"expected `to` after `from`, found {self.from_} to {self.to}")

    @property
    def from_ms(self) -> int:
        return from_rfc3339(self.from_)

    @property
    def to_ms(self) -> int:
        return from_rfc3339(self.to)


class Phase(Window, frozen=True, kw_only=True):
    """When a phase runs."""

    phase: PhaseName


class LayerTarget(Struct, frozen=True, kw_only=True):
    """What one layer is to bring: headcount x conversion rate x order value (minor units)."""

    layer: Id
    headcount: Count
    conversion_rate: Share
    order_value: Count

    @property
    def gmv(self) -> int:
        return round(self.headcount * self.order_value * self.conversion_rate)


class Target(Struct, frozen=True, kw_only=True):
    """A node of the target tree and who answers for it. `channel` and `store_id` say what it covers, both null the whole brand.

    It is either split into `parts`, each narrower than itself, or counted in `layers`: so every figure is the sum of those below.
    """

    owner: Id
    channel: Id | None = None
    store_id: Id | None = None
    layers: tuple[LayerTarget, ...] = ()
    parts: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.layers) == bool(self.parts):
            raise ValueError(f"expected either `layers` or `parts` for the target of {self.owner!r}, found {_both(self)}")
        names = [row.layer for row in self.layers]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each layer once, found {', '.join(names)}")
        scopes = [(part.channel, part.store_id) for part in self.parts]
        if len(set(scopes)) < len(scopes):
            raise ValueError(f"expected parts that cover different channels or stores, found {scopes}")
        for part in self.parts:
            if not part._narrows(self):
                raise ValueError(f"expected a part narrower than {(self.channel, self.store_id)}, found {(part.channel, part.store_id)}")

    def _narrows(self, whole: Target) -> bool:
        pairs = ((self.channel, whole.channel), (self.store_id, whole.store_id))
        return all(outer is None or mine == outer for mine, outer in pairs) and any(mine != outer for mine, outer in pairs)

    @property
    def gmv(self) -> int:
        """The target in minor units: of a leaf the sum over its layers, else the sum over its parts."""
        return sum(row.gmv for row in self.layers) + sum(part.gmv for part in self.parts)


class PlanPoint(Struct, frozen=True, array_like=True):
    """By `minute` of the window, `share` of the target is to be reached."""

    minute: Count
    share: Share


class Promotion(Struct, frozen=True, kw_only=True):
    """One version of a promotion, valid from the minute `effective_from`; its changes are told by who and why.

    `plan` is the cumulative share of the target over the window, from (0, share) to (last minute, 1), straight lines between
    the points; without one the plan is a straight line.
    """

    promotion_id: Id
    brand: Id
    name: Id
    version: Version
    changed_by: Id
    changed_at: Rfc3339
    reason: str
    effective_from: Minute
    window: Window
    phases: tuple[Phase, ...] = ()
    target: Target
    plan: tuple[PlanPoint, ...] = ()

    def __post_init__(self) -> None:
        from_rfc3339(self.changed_at), from_rfc3339(self.effective_from)
        if (self.target.channel, self.target.store_id) != (None, None):
            raise ValueError("expected the root of the target tree to cover the whole brand, found a channel or store")
        for one, other in pairwise(self.phases):
            if other.from_ms < one.to_ms:
                raise ValueError(f"expected phases one after another, found {other.phase} from {other.from_} before {one.to}")
        for phase in self.phases:
            if phase.from_ms < self.window.from_ms or phase.to_ms > self.window.to_ms:
                raise ValueError(f"expected {phase.phase} within the window, found {phase.from_} to {phase.to}")
        self._check_plan()

    def _check_plan(self) -> None:
        if not self.plan:
            return
        for one, other in pairwise(self.plan):
            if other.minute <= one.minute or other.share < one.share:
                raise ValueError(f"expected a plan that grows, found {one} before {other}")
        first, last = self.plan[0], self.plan[-1]
        if first.minute != 0 or (last.minute, last.share) != (self.minutes, 1):
            raise ValueError(f"expected a plan from minute 0 to share 1 at minute {self.minutes}, found {first} to {last}")

    @property
    def effective_ms(self) -> int:
        """From when this version counts."""
        return from_rfc3339(self.effective_from)

    @property
    def minutes(self) -> int:
        """How long the window is."""
        return (self.window.to_ms - self.window.from_ms) // MINUTE_MS

    def share_at(self, at_ms: int) -> float:
        """The share of the target that is planned to be reached by an instant: 0 before the window, 1 after it."""
        if at_ms < self.window.from_ms:
            return 0.0
        if at_ms >= self.window.to_ms:
            return 1.0
        minute = (at_ms - self.window.from_ms) / MINUTE_MS
        points = self.plan or (PlanPoint(0, 0.0), PlanPoint(self.minutes, 1.0))
        for one, other in pairwise(points):
            if minute < other.minute:
                return one.share + (other.share - one.share) * (minute - one.minute) / (other.minute - one.minute)
        return 1.0


def _both(target: Target) -> str:
    return "both" if target.layers else "neither"
