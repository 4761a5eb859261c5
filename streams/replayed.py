"""Marks of replayed dead letters: by them a letter that is replayed twice counts once, however far apart and whatever crashes.

A replay goes back to the partition that refused the record, with the place of that record in a header. The shard there keeps the places
that it has taken, written in the step that takes them; a second replay of the same letter is then a duplicate.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from schemas.times import DAY_MS, from_rfc3339
from schemas.touchpoint import KINDS
from streams.outbox import FORWARDED_HEADER, Headers

REPLAYED_HEADER = "rflow_replayed"
ATTEMPT_HEADER = "rflow_attempt"
FIRST_SEEN_HEADER = "rflow_first_seen"

REPLAY_MS = 90 * DAY_MS
"""How long after it was first refused a record may be replayed."""
KEPT_MS = REPLAY_MS + 30 * DAY_MS
"""How long a shard remembers a replay: longer than one may be sent, by the time for which it may lie in its topic."""

MOST_ATTEMPTS = 999_999
"""A record that has been tried more often says so."""

_PLACE = re.compile(rf"(?:{'|'.join(re.escape(kind.topic) for kind in KINDS)}):(0|[1-9]\d{{0,5}}):(?:0|[1-9]\d{{0,17}})", re.ASCII)
_ATTEMPT = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_LONGEST = 64


class ReplayMark(NamedTuple):
    """`place` is where the record was first refused, `topic:partition:offset`; `attempt` counts this try, `first_seen` is RFC 3339."""

    place: str
    attempt: int
    first_seen: str

    def headers(self) -> Headers:
        """The mark as it travels."""
        return [
            (REPLAYED_HEADER, self.place.encode()),
            (ATTEMPT_HEADER, b"%d" % self.attempt),
            (FIRST_SEEN_HEADER, self.first_seen.encode()),
        ]


def place_of(topic: str, partition: int, offset: int) -> str:
    """The place of a record, by which its replays are known."""
    return f"{topic}:{partition}:{offset}"


def replay_mark(headers: Any) -> ReplayMark | None:
    """The mark of a replayed dead letter. None for any other record, and for headers that rflow cannot have written."""
    told = {name: _text(value) for name, value in headers or () if name in (REPLAYED_HEADER, ATTEMPT_HEADER, FIRST_SEEN_HEADER)}
    place, attempt, first_seen = told.get(REPLAYED_HEADER), told.get(ATTEMPT_HEADER), told.get(FIRST_SEEN_HEADER)
    if place is None or attempt is None or first_seen is None:
        return None
    if not _PLACE.fullmatch(place) or not _ATTEMPT.fullmatch(attempt) or not _is_time(first_seen):
        return None
    return ReplayMark(place, int(attempt), first_seen)


def own_place(headers: Any, shard: int) -> str | None:
    """The place that a replay stands for, if it is this shard that refused the record and keeps the account of its replays: what has been
    forwarded was judged by its sender, and goes on as a record of its own."""
    mark = replay_mark(headers)
    if mark is None or int(mark.place.split(":")[1]) != shard or any(name == FORWARDED_HEADER for name, _ in headers):
        return None
    return mark.place


def _text(value: Any) -> str | None:
    if not isinstance(value, bytes) or len(value) > _LONGEST or not value.isascii():
        return None
    return value.decode()


def _is_time(text: str) -> bool:
    try:
        from_rfc3339(text)
    except (ValueError, OverflowError):
        return False
    return True
