"""The desk: promotions are created and changed here, by whatever screen, command or service.

A change says on which version it builds. It is saved by compare-and-set (`book`), with an entry in an outbox in the same step; then the
outbox is published to the `promotions` topic (`topic`), in the order of the changes, and trimmed once Kafka has acknowledged. What a crash
left there is published by whoever comes next, before anything newer. Several desks do no harm: records may come twice, and the newest
version of each promotion always comes last (`scripts.SETTLE`), so compaction keeps it.

A Redis that knows nothing (new, or lost) takes in the topic first: nothing is saved before.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from schemas.ladder import Ladder
from schemas.promotion import PlanPoint, Promotion
from schemas.times import MINUTE_MS, to_rfc3339
from streams.crash import CrashPoint, crash_point
from warroom.promotions.book import Book, NotRecovered, TakenIn
from warroom.promotions.definition import Definition, checked, first_version
from warroom.promotions.errors import DeskAway, PromotionConflict, PromotionExists, PromotionInvalid, PromotionUnknown
from warroom.promotions.topic import PromotionTopic
from warroom.what_if import EditError, edited

T = TypeVar("T")


class Saved(Struct, frozen=True, kw_only=True):
    """A version that counts from now on. Unless `published` Kafka has not acknowledged it yet, because of `delay`; it will be told by the
    next who publishes."""

    promotion: Promotion
    published: bool
    delay: str = ""


class Desk:
    """The desk of one deployment. May be used from several threads. Every method raises DeskAway.

    `clock` gives epoch milliseconds: when a change is made. `event_clock` tells which minute is next for the figures; by default the same.
    """

    def __init__(
        self, book: Book, topic: PromotionTopic, ladder: Ladder, clock: Callable[[], int], event_clock: Callable[[], int] | None = None
    ) -> None:
        self._book = book
        self._topic = topic
        self._ladder = ladder
        self._clock = clock
        self.event_now = event_clock or clock
        """which time it is for the figures"""
        self._token = uuid.uuid4().hex
        self._publishing = threading.Lock()

    def create(self, definition: Definition, *, by: str, because: str, plan: tuple[PlanPoint, ...] = ()) -> Saved:
        """Version 1 of a new promotion. Raises PromotionInvalid, PromotionExists."""
        first = first_version(definition, self._ladder, by=by, because=because, now=self._clock(), plan=plan)
        if not self._known(lambda: self._book.save(first)):
            raise PromotionExists(self.versions(first.promotion_id)[-1])
        return self._told(first)

    def adjust(
        self,
        promotion_id: str,
        edits: Sequence[str],
        *,
        by: str,
        because: str,
        effective_from: int | None = None,
        if_version: int | None = None,
    ) -> Saved:
        """The next version, with the edits (`warroom.what_if`) made to the newest one; see `change`."""

        def make(newest: Promotion) -> Promotion:
            try:
                return edited(newest, edits)
            except EditError as error:
                raise PromotionInvalid(str(error)) from None

        return self.change(promotion_id, make, by=by, because=because, effective_from=effective_from, if_version=if_version)

    def replace(
        self,
        promotion_id: str,
        definition: Definition,
        *,
        by: str,
        because: str,
        plan: tuple[PlanPoint, ...] = (),
        effective_from: int | None = None,
        if_version: int | None = None,
    ) -> Saved:
        """The next version, as `definition` says; see `change`."""
        if definition.promotion_id != promotion_id:
            raise PromotionInvalid(f"expected promotion_id {promotion_id!r}, found {definition.promotion_id!r}")

        def make(newest: Promotion) -> Promotion:
            if definition.brand != newest.brand:
                raise PromotionInvalid(f"expected brand {newest.brand!r}, which a promotion keeps, found {definition.brand!r}")
            return first_version(definition, self._ladder, by=by, because=because, now=self._clock(), plan=plan)

        return self.change(promotion_id, make, by=by, because=because, effective_from=effective_from, if_version=if_version)

    def change(
        self,
        promotion_id: str,
        make: Callable[[Promotion], Promotion],
        *,
        by: str,
        because: str,
        effective_from: int | None = None,
        if_version: int | None = None,
    ) -> Saved:
        """The next version, as `make` makes it of the newest, in force from the minute `effective_from`.

        That is in epoch milliseconds; by default the next minute, but not before the newest version is in force, or, where that is still to
        come, the window that is now wanted begins. Raises PromotionUnknown, PromotionInvalid; PromotionConflict if somebody else was first,
        or if the newest is not `if_version`.
        """
        newest = self.versions(promotion_id)[-1]
        if if_version is not None and newest.version != if_version:
            raise PromotionConflict(if_version, newest)
        now = self._clock()
        made = make(newest)
        from_minute = self._minute(effective_from, newest, made, self.event_now())
        told = {"version": newest.version + 1, "changed_by": by, "changed_at": to_rfc3339(now), "reason": because}
        made = checked(msgspec.structs.replace(made, effective_from=to_rfc3339(from_minute), **told), self._ladder)
        crash_point(CrashPoint.PROMOTION_BEFORE_SAVE)
        if not self._known(lambda: self._book.save(made)):
            raise PromotionConflict(newest.version, self.versions(promotion_id)[-1])
        return self._told(made)

    def versions(self, promotion_id: str) -> list[Promotion]:
        """Every version of a promotion that is kept, oldest first. Raises PromotionUnknown."""
        found = self._known(lambda: self._book.versions(promotion_id))
        if not found:
            raise PromotionUnknown(promotion_id, [one.promotion_id for one in self.newest()])
        return found

    def newest(self, brand: str | None = None) -> list[Promotion]:
        """The newest version of every promotion (of a brand), by id."""
        return [one for one in self._known(self._book.newest) if brand in (None, one.brand)]

    def publish_waiting(self) -> int:
        """Publish all that waits in the outbox; returns how many records were. A long-running process calls it now and then."""
        told = 0
        with self._publishing:
            while waiting := self._book.claim(self._token):
                self._topic.publish(waiting)
                crash_point(CrashPoint.PROMOTION_PUBLISHED)
                told += len(waiting)
                if self._book.settle(self._token, waiting) == 0:
                    break
        return told

    def recover(self) -> TakenIn:
        """Hold Redis against the topic: take in what only the topic has, publish what only Redis has.

        For the start of a long-running process; it happens by itself where Redis knows nothing.
        """
        with self._publishing:
            found = self._book.take_in(self._topic.read_all())
        if found.to_topic:
            self.publish_waiting()
        return found

    def behind(self) -> int:
        """How many versions only the topic has, as after a restore of Redis from a backup."""
        try:
            known = {one.promotion_id: one.version for one in self._book.newest()}
        except NotRecovered:
            known = {}
        on_topic = {(one.promotion_id, one.version) for one, _ in self._topic.read_all()}
        return sum(version > known.get(promotion_id, 0) for promotion_id, version in on_topic)

    def close(self) -> None:
        """Let go of the producer."""
        with self._publishing:
            self._topic.close()

    def _told(self, made: Promotion) -> Saved:
        crash_point(CrashPoint.PROMOTION_SAVED)
        try:
            self.publish_waiting()
        except DeskAway as error:
            return Saved(promotion=made, published=False, delay=str(error))
        return Saved(promotion=made, published=True)

    def _known(self, ask: Callable[[], T]) -> T:
        """The answer of a Redis that knows what the topic holds."""
        try:
            return ask()
        except NotRecovered:
            self.recover()
            return ask()

    def _minute(self, asked: int | None, newest: Promotion, made: Promotion, now: int) -> int:
        earliest = newest.effective_ms
        if now < earliest and made.window.from_ms < newest.window.from_ms:  # from there on, or its first hours would have no plan
            earliest = min(earliest, made.window.from_ms)
        if asked is None:
            return max(earliest, now + -now % MINUTE_MS)
        if asked % MINUTE_MS:
            raise PromotionInvalid(f"expected a whole minute to take effect from, found {to_rfc3339(asked)}")
        if asked < earliest:
            raise PromotionInvalid(
                f"expected {to_rfc3339(earliest)} or later, from when version {newest.version} counts, on which this change builds; "
                f"found {to_rfc3339(asked)}"
            )
        return asked
