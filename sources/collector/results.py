"""What became of each record of a request, and the status of the whole.

A sender learns of every record. Segment answers 200 whatever is in a batch, and of Keen's senders, which were told of each record under
a 200, one was found to look at nothing but the status, so that its losses showed nowhere. So 200 says that all are taken, and nothing
else does.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.deadletter import InvalidRecord


class Status(StrEnum):
    """What became of one record."""

    ACCEPTED = "accepted"
    """Kafka has acknowledged it"""
    REFUSED = "refused"
    """it will never be taken as it is"""
    UNAVAILABLE = "unavailable"
    """Kafka has not acknowledged it in time: send it again, unchanged"""


BRAND, CHANNEL, TICK = "brand_not_allowed", "channel_not_allowed", "tick_not_allowed"
"""Reasons of the collector's own; all others are those of dead letters."""
NOT_ACKNOWLEDGED = "not_acknowledged"
UNMAPPED = "unmapped"


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record: its place in the request from 0, what became of it, and unless it was accepted why. `event_id` where it can be read."""

    index: int
    status: Status
    event_id: str | None = None
    reason: str | None = None
    detail: str | None = None


class Results(Struct, frozen=True, kw_only=True):
    """The answer to a request whose records have been looked at. `unmapped`: what was told and is no touchpoint."""

    accepted: int
    refused: int
    unavailable: int
    results: list[Result]
    unmapped: list[str] | UnsetType = UNSET


class _Named(Struct):
    event_id: object = None


_named = msgspec.json.Decoder(_Named).decode
_encode = msgspec.json.Encoder().encode


def refused(index: int, line: bytes, reason: str, detail: str) -> Result:
    """A record that is not taken."""
    return Result(index=index, status=Status.REFUSED, event_id=_event_id(line), reason=reason, detail=detail)


def invalid(index: int, line: bytes, error: InvalidRecord) -> Result:
    """A record that the processor would make a dead letter of."""
    return refused(index, line, error.reason.value, error.detail)


def _event_id(line: bytes) -> str | None:
    try:
        found = _named(line).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found[:128] if isinstance(found, str) else None


def answer(results: list[Result], unmapped: list[str] | None = None) -> tuple[int, bytes]:
    """Status and body.

    200 all are accepted; 207 some are and the others never will be; 422 none is and none ever will be; 503 at least one is to be sent
    again, and it does no harm to send all.
    """
    counts = Counter(result.status for result in results)
    told = Results(
        accepted=counts[Status.ACCEPTED],
        refused=counts[Status.REFUSED],
        unavailable=counts[Status.UNAVAILABLE],
        results=results,
        unmapped=unmapped or UNSET,
    )
    return _status(told), _encode(told)


def _status(told: Results) -> int:
    if told.unavailable:
        return 503
    if told.refused:
        return 207 if told.accepted else 422
    return 200
