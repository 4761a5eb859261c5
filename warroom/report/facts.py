"""What a report tells, read from ClickHouse and Redis before a word of it is written."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.ladder import Ladder
from schemas.promotion import Promotion
from schemas.times import from_rfc3339
from warroom.beside import Beside
from warroom.compare import Comparison, Period, aligned, compare_tables
from warroom.drill import Dimension, Drill, LabelLine, LostLine, Quality
from warroom.figures import Activating, Junk, Returning, Scaling, StarTables
from warroom.lists import Span
from warroom.notes import Note, Notes
from warroom.pacing import same_clock
from warroom.pacing_lines import Pacing
from warroom.progress import Progress
from warroom.promotions.board import Board
from warroom.promotions.errors import PromotionInvalid

_MOST_COLUMNS = 48
_MOST_LABELS = 12


class Facts(Struct, frozen=True, kw_only=True):
    """Everything. `period` is the window as far as it has come; `written_at` epoch milliseconds."""

    written_at: int
    zone: str
    ladder: Ladder
    versions: list[Promotion]
    period: Period
    is_over: bool
    is_final: bool
    progress: Progress
    pacing: Pacing
    beside: Beside
    earlier: Promotion | None
    comparison: Comparison | None
    scaling: list[Scaling]
    activating: list[Activating]
    returning: list[Returning]
    channels: list[LabelLine]
    campaigns: list[LabelLine]
    stores: list[LabelLine]
    lost: list[LostLine]
    notes: list[Note]
    junk: list[Junk]
    quality: Quality

    @property
    def promotion(self) -> Promotion:
        """The newest version."""
        return self.versions[-1]


class Library(Struct, frozen=True, kw_only=True):
    """Where facts are read: each reader for one thread at a time."""

    board: Board
    drill: Drill
    notes: Notes
    ladder: Ladder


def gather(library: Library, promotion_id: str, now: int, earlier_id: str | None = None) -> Facts:
    """The facts of a promotion, beside an earlier one: by default the brand's last one that was over before.

    Raises PromotionUnknown, PromotionInvalid if it has not begun, DeskAway, StoreAway, StoreError, RedisError.
    """
    board, drill = library.board, library.drill
    versions = board.versions(promotion_id)
    newest = versions[-1]
    progress = board.show(promotion_id)
    period = Period(begins=newest.window.from_ms, ends=min(from_rfc3339(progress.at), newest.window.to_ms))
    if period.minutes <= 0:
        raise PromotionInvalid(
            f"expected a promotion that has begun, found one that begins at {newest.window.from_}; stored is {progress.at}"
        )
    earlier = board.earlier(newest, earlier_id)
    bounds = (newest.brand, period.begins, period.ends)
    tables = drill.tables(*bounds)
    span = Span(brand=newest.brand, start=period.begins, end=period.ends)
    return Facts(
        written_at=now,
        zone=library.ladder.calendar(newest.brand)[0],
        ladder=library.ladder,
        versions=versions,
        period=period,
        is_over=period.ends >= newest.window.to_ms,
        is_final=drill.census(newest.brand).final_before >= newest.window.to_ms,
        progress=progress,
        pacing=board.pacing(promotion_id, step_minutes=_step(newest, 400)),
        beside=board.beside(promotion_id, earlier_id, step_minutes=_step(newest, _MOST_COLUMNS)),
        earlier=earlier,
        comparison=None if earlier is None else _compared(drill, newest, period, tables, earlier),
        scaling=tables.scaling,
        activating=tables.activating,
        returning=tables.returning,
        channels=drill.label_lines(span, Dimension.CHANNEL, _MOST_LABELS),
        campaigns=drill.label_lines(span, Dimension.CAMPAIGN, _MOST_LABELS),
        stores=drill.label_lines(span, Dimension.STORE, _MOST_LABELS),
        lost=drill.lost_lines(span),
        notes=library.notes.between(*bounds),
        junk=drill.junk(*bounds),
        quality=drill.quality(period.begins, period.ends),
    )


def _compared(drill: Drill, newest: Promotion, period: Period, tables: StarTables, earlier: Promotion) -> Comparison:
    """As far into the earlier one's days as this one has come into its own."""
    begins = same_clock(period.begins, period.begins, earlier.window.from_ms)
    return compare_tables(drill, newest.brand, period, tables, aligned(period, begins, begins + period.ends - period.begins))


def _step(promotion: Promotion, most: int) -> int:
    """Minutes of a step so that the window has `most` of them at most: a part or a multiple of an hour."""
    steps: Sequence[int] = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
    return next((step for step in steps if promotion.minutes / step <= most), -(-promotion.minutes // most))
