"""What the desk knows joined with what was sold: how a promotion stands, what a change would come to, and the curve of an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.ladder import Ladder
from schemas.promotion import PlanPoint, Promotion
from schemas.times import MINUTE_MS
from warroom.beside import Beside, beside
from warroom.pacing import same_clock
from warroom.pacing_lines import Pacing, pacing
from warroom.plan_curve import CurveError, from_earlier
from warroom.progress import Actual, Progress, needs_stores, progress
from warroom.promotions.desk import Desk
from warroom.promotions.errors import PromotionInvalid
from warroom.sales import MinuteSales, Sales
from warroom.targets import Scope, in_force
from warroom.what_if import EditError, WhatIf, what_if
from warroom.wording import Language


class Board:
    """Reads; changes are the desk's. Every method raises PromotionUnknown, DeskAway, and `sinks.errors.StoreAway` or StoreError.

    `clock` gives epoch milliseconds. Where an instant may be given, the default is now, or up to when sales are stored if that is earlier,
    and the window's end if that is past; always a whole minute.
    """

    def __init__(self, desk: Desk, sales: Sales, ladder: Ladder, clock: Callable[[], int]) -> None:
        self._desk = desk
        self._sales = sales
        self._ladder = ladder
        self._clock = clock

    def versions(self, promotion_id: str) -> list[Promotion]:
        """Every version, oldest first."""
        return self._desk.versions(promotion_id)

    def earlier(self, now: Promotion, earlier_id: str | None = None) -> Promotion | None:
        """The promotion of that id, by default the brand's last one that was over before this one began."""
        if earlier_id is not None:
            return self._desk.versions(earlier_id)[-1]
        over = [one for one in self._desk.newest(now.brand) if one.window.to_ms <= now.window.from_ms]
        return max(over, key=lambda one: one.window.to_ms, default=None)

    def show(self, promotion_id: str, at: int | None = None) -> Progress:
        """How the promotion stands."""
        versions = self._desk.versions(promotion_id)
        instant = self._instant(versions[-1], at)
        now = in_force(versions, instant)
        begin, end = now.window.from_ms, max(now.window.from_ms, min(instant, now.window.to_ms))
        actual = Actual(
            minutes=self._sales.by_minute(now.brand, begin, end),
            cells=self._sales.by_cell(now.brand, begin, end),
            heads=self._sales.heads(now.brand, begin, end, by_store=needs_stores(now)) if end > begin else [],
        )
        return progress(versions, actual, instant, currency=self._ladder.currency_of(now.brand), label=self._label_of(now.brand))

    def what_if(self, promotion_id: str, edits: Sequence[str], at: int | None = None) -> WhatIf:
        """What the edits (`warroom.what_if`) would make of the newest version, and of the day. Raises PromotionInvalid."""
        newest = self._desk.versions(promotion_id)[-1]
        try:
            return what_if(newest, edits, self.show(promotion_id, at).gmv.projected)
        except EditError as error:
            raise PromotionInvalid(str(error)) from None

    def pacing(self, promotion_id: str, at: int | None = None, step_minutes: int = 5) -> Pacing:
        """Plans, actual and projection at the same instants, for the chart."""
        versions = self._desk.versions(promotion_id)
        currency = self._ladder.currency_of(versions[-1].brand)
        return pacing(versions, self._minutes(versions[-1]), self._instant(versions[-1], at), step_minutes, currency=currency)

    def beside(self, promotion_id: str, earlier_id: str | None = None, at: int | None = None, step_minutes: int = 1) -> Beside:
        """Orders and GMV beside the same clock time of an earlier promotion: by default of the brand's last one that was over before."""
        now = self._desk.versions(promotion_id)[-1]
        earlier = self.earlier(now, earlier_id)
        theirs = [] if earlier is None else self._like(earlier, now)
        return beside(now, self._minutes(now), earlier, theirs, self._instant(now, at), step_minutes)

    def curve_of(self, earlier_id: str, like: Promotion) -> tuple[PlanPoint, ...]:
        """The plan curve of an earlier promotion, over the window and phases of `like`. Raises PromotionInvalid if nothing was sold."""
        earlier = self._desk.versions(earlier_id)[-1]
        try:
            return from_earlier({one.minute: one.gmv for one in self._minutes(earlier)}, earlier, like.window, like.phases)
        except CurveError as error:
            raise PromotionInvalid(str(error)) from None

    def _minutes(self, promotion: Promotion) -> list[MinuteSales]:
        return self._sales.by_minute(promotion.brand, promotion.window.from_ms, promotion.window.to_ms)

    def _like(self, earlier: Promotion, now: Promotion) -> list[MinuteSales]:
        """What the earlier one's brand sold at the same clock times, also before or after its own window."""
        begin = same_clock(now.window.from_ms, now.window.from_ms, earlier.window.from_ms)
        return self._sales.by_minute(earlier.brand, begin, begin + now.window.to_ms - now.window.from_ms)

    def _instant(self, newest: Promotion, asked: int | None) -> int:
        if asked is None:
            stored = self._sales.as_of()
            asked = min(self._clock(), stored or self._clock(), newest.window.to_ms)
        return asked - asked % MINUTE_MS

    def _label_of(self, brand: str) -> Callable[[Scope, Language], str]:
        channels = self._ladder.channels_of(brand)

        def label(scope: Scope, language: Language) -> str:
            known = channels.get(scope.channel) if scope.channel else None
            name = known.label.get(language, scope.channel) if known else scope.channel
            return " ".join(part for part in (name, scope.store_id) if part)

        return label
