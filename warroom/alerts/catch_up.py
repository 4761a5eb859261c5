"""An alerts' book that was restored from a backup, brought up to what the topic has been told since.

The engine judges on from the newest minute of which something was told: what was told is not told again. An alert that the book holds goes
on from its newest record, so that versions never fall back. One that the book does not know, and that is not over, nobody would ever close:
it is told as over, and fires anew, under another id, if it still stands.

What the book has not sent may have been sent since, nobody knows: that is for each way out to decide (`warroom.alerts.outlet`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.alert import Alert, AlertState, Severity
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from sinks.bounded import BoundedReader
from streams.errors import RflowError
from streams.headers import read_headers
from warroom.alerts.book import AlertBook
from warroom.alerts.engine import BrandState, Incident
from warroom.alerts.lasting import Lasting
from warroom.alerts.standing import held_alerts, is_open, newest
from warroom.alerts.topic import SOURCE, TOPIC

Held = TypeVar("Held", Incident, Lasting)
_OVER = {
    "en": "Closed after a restore from backups, which knew nothing of it. If it still stands it is told anew.",
    "zh": "系统从备份恢复，备份中没有这条预警，故予关闭；若情况仍在，将重新预警。",
}


class CaughtUp(Struct, frozen=True, kw_only=True):
    """A brand's state as it is to be kept, and what is to be told: alerts that nobody else would close."""

    state: BrandState
    closed: list[Alert]
    later: list[Alert]
    """as they stand on the topic, alerts that the book holds in an older version, or does not know although they are not over"""
    changed: bool


def caught_up(state: BrandState, kept: Iterable[Alert], told: Iterable[Alert], at: int) -> CaughtUp:
    """Holds a brand's state, and the records that the book has kept, against those that were told; `at` is the wall clock."""
    held = {one.alert_id for one in held_alerts(state)}
    known = {one.alert_id: one.version for one in newest(held_alerts(state), kept)}
    since = [one for one in newest(told) if one.version > known.get(one.alert_id, 0)]
    minutes = [from_rfc3339(one.at) for one in since if _is_judged(one)]
    stood = [from_rfc3339(one.at) for one in since if _is_judged(one) and one.flow is None]
    later = {one.alert_id: one for one in since if one.alert_id in held or is_open(one)}
    down = None if state.down is None else later.get(state.down.alert_id, state.down)
    brought = replace(
        state,
        # A brand of which nothing has been judged begins with the running minute.
        judged=max([state.judged, *(minute - MINUTE_MS for minute in minutes)]) if state.judged else 0,
        incidents=tuple(_carried(one, later) for one in state.incidents),
        lasting=tuple(_carried(one, later) for one in state.lasting),
        down=down if down is not None and is_open(down) else None,
        stood=max([state.stood, *stood]) if state.judged else 0,
    )
    closed = [_closed(one, at) for one in later.values() if one.alert_id not in held and is_open(one)]
    return CaughtUp(state=brought, closed=closed, later=list(later.values()), changed=bool(closed) or brought != state)


def _is_judged(alert: Alert) -> bool:
    """Whether its time is that of a minute that was judged: others are the wall clock's."""
    return alert.rule != "pipeline_down" and alert.state is not AlertState.ACKNOWLEDGED


def _carried(one: Held, later: dict[str, Alert]) -> Held:
    """An incident, or what lasts, with its newest record."""
    alert = later.get(one.alert.alert_id, one.alert)
    ended = from_rfc3339(alert.at) - MINUTE_MS if not one.ended and not is_open(alert) else one.ended
    return replace(one, alert=alert, ended=ended)


def _closed(alert: Alert, at: int) -> Alert:
    return replace(alert, state=AlertState.RESOLVED, severity=Severity.INFO, summary=_OVER, at=to_rfc3339(at), version=alert.version + 1)


def told_alerts(kafka: dict[str, Any], prefix: str, partitions: int) -> Iterator[Alert]:
    """Every record of the engine's that the topic still holds; not those that others have put there. Raises KafkaException or
    TimeoutError."""
    with closing(BoundedReader(kafka, "rflow-inspector")) as reader:
        for partition in range(partitions):
            place = f"{prefix}{TOPIC}", partition
            for messages in reader.batches(*place, *reader.bounds(*place)):
                own = (message for message in messages if dict(read_headers(message)).get("ce_source") == SOURCE.encode())
                yield from (msgspec.json.decode(message.value() or b"", type=Alert) for message in own)


def catch_up(book: AlertBook, told: Iterable[Alert], at: int, *, restored: bool, plan: bool) -> int:
    """Brings a book up to what has been told; how many alerts stand otherwise than it knew. `restored`: it has been, as far as is known;
    `plan` only looks. Can be repeated. Raises RflowError while somebody judges alerts, RedisError or OSError."""
    by_brand: dict[str, list[Alert]] = defaultdict(list)
    for alert in told:
        by_brand[alert.brand].append(alert)
    kept = book.kept()
    alerts_kept = [one.alert for one in kept]
    found = {brand: (book.load(brand), alerts) for brand, alerts in by_brand.items()}
    done = {brand: (version, caught_up(state, alerts_kept, alerts, at)) for brand, ((version, state), alerts) in found.items()}
    count = sum(len(one.later) for _, one in done.values())
    if plan:
        return count
    changed = [(version, one) for version, one in done.values() if one.changed]
    if restored or changed:
        book.doubt(kept)
    for version, one in changed:
        _keep(book, version, one)
    return count


def _keep(book: AlertBook, version: int, one: CaughtUp) -> None:
    taken_on = [alert for alert in one.later if alert.acknowledged is not None]
    for alert in taken_on:
        assert alert.acknowledged is not None
        book.take_in(alert.alert_id, alert.acknowledged)
    over: Sequence[str] = [alert.alert_id for alert in one.later if not is_open(alert)]
    if not book.save(version, one.state, one.closed, [*(alert.alert_id for alert in taken_on), *over]):
        raise RflowError(
            f"expected no rflow alerts at work, found that {one.state.brand} has been judged just now: stop it, then run this again"
        )
