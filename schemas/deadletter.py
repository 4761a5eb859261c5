"""Dead letters: records that could not be processed, byte for byte, and why."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why a record is a dead letter."""

    EMPTY = "empty"
    """no value (a tombstone) or an empty one"""
    TOO_LARGE = "too_large"
    """more than 64 KiB"""
    INVALID_JSON = "invalid_json"
    """not one JSON object in UTF-8"""
    INVALID_FIELD = "invalid_field"
    """a required field is missing, or a field has the wrong type, length or range"""
    UNKNOWN_TYPE = "unknown_type"
    """`type` is not in the catalogue"""
    WRONG_TOPIC = "wrong_topic"
    """a known `type` on a topic of another kind"""
    FUTURE = "future"
    """`occurred_at` is more than five minutes ahead of the wall clock"""
    WRONG_CURRENCY = "wrong_currency"
    """an order in another currency than its brand's"""
    MISROUTED = "misrouted"
    """forwarded to its user's partition once, and still on a wrong one"""


class InvalidRecord(Exception):
    """A record the processor cannot take: `reason`, and a `detail` that says what was expected."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DeadLetterHeaders(Struct, frozen=True, kw_only=True):
    """The headers of a dead letter, each a UTF-8 text on the wire; value and key are the record's own bytes.

    `first_seen` is RFC 3339; `attempts` counts how often the record has been tried, from 1. Where the value was too large to carry,
    `cut_from_bytes` and `sha256` tell the length and hash of the whole. `replay_of` is set where the record was a replay of a dead letter:
    the place at which it was first refused, `topic:partition:offset`.
    """

    topic: str
    partition: int
    offset: int
    reason: Reason
    detail: str
    first_seen: str
    attempts: int = 1
    cut_from_bytes: int | None = None
    sha256: str | None = None
    replay_of: str | None = None
