"""What happened when: changes of targets, alerts and notes, in order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from schemas.alert import Alert, AlertState
from schemas.promotion import Promotion
from schemas.times import from_rfc3339
from warroom.notes import Note


class TargetChange(Struct, frozen=True, kw_only=True, tag_field="kind", tag="target"):
    """A version of a promotion, `at` the instant from which it counts (epoch milliseconds); GMV targets in minor units, null before the
    first."""

    at: int
    promotion_id: str
    name: str
    version: int
    changed_by: str
    changed_at: int
    reason: str
    gmv_before: int | None
    gmv_after: int


class NoteMark(Struct, frozen=True, kw_only=True, tag_field="kind", tag="note"):
    """What somebody wrote about a minute."""

    at: int
    note_id: str
    text: str
    author: str
    written_at: int


class AlertMark(Struct, frozen=True, kw_only=True, tag_field="kind", tag="alert"):
    """An alert as it stands, `at` when what it tells of began, `over_at` when it was over, null while it is open."""

    at: int
    alert_id: str
    title: dict[str, str]
    severity: str
    over_at: int | None
    acknowledged_by: str | None


Mark = TargetChange | NoteMark | AlertMark


class Timeline(Struct, frozen=True, kw_only=True):
    """All marks of a period, oldest first."""

    items: list[Mark]


def timeline(
    start: int, end: int, promotions: Iterable[Sequence[Promotion]], notes: Iterable[Note], alerts: Iterable[Alert] = ()
) -> Timeline:
    """The marks from `start` to before `end`; `promotions` are all versions of each, oldest first."""
    marks: list[Mark] = [change for versions in promotions for change in target_changes(versions) if start <= change.at < end]
    marks += [
        NoteMark(at=note.at, note_id=note.note_id, text=note.text, author=note.author, written_at=note.written_at)
        for note in notes
        if start <= note.at < end
    ]
    marks += [mark for mark in map(_alert_mark, alerts) if start <= mark.at < end]
    return Timeline(items=sorted(marks, key=lambda mark: mark.at))


def _alert_mark(alert: Alert) -> AlertMark:
    over = alert.state is AlertState.RESOLVED
    return AlertMark(
        at=from_rfc3339(alert.since),
        alert_id=alert.alert_id,
        title=alert.title,
        severity=alert.severity.value,
        over_at=from_rfc3339(alert.at) if over else None,
        acknowledged_by=None if alert.acknowledged is None else alert.acknowledged.by,
    )


def target_changes(versions: Sequence[Promotion]) -> list[TargetChange]:
    """Every version as a mark, with the target of the one before."""
    before: list[int | None] = [None, *(version.target.gmv for version in versions)]
    return [
        TargetChange(
            at=version.effective_ms,
            promotion_id=version.promotion_id,
            name=version.name,
            version=version.version,
            changed_by=version.changed_by,
            changed_at=from_rfc3339(version.changed_at),
            reason=version.reason,
            gmv_before=earlier,
            gmv_after=version.target.gmv,
        )
        for version, earlier in zip(versions, before, strict=False)
    ]
