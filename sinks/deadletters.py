"""Dead letters as the desk sees them: what a letter says, which ones are wanted, and whether the processor would take it now. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from schemas.deadletter import DeadLetterHeaders, InvalidRecord, Reason
from schemas.framing import unframed
from schemas.times import from_rfc3339, to_rfc3339
from schemas.touchpoint import CATALOGUE, KINDS, Kind, Tick
from schemas.validate import Validator
from streams.headers import read_headers
from streams.replayed import MOST_ATTEMPTS, REPLAY_MS, ReplayMark, place_of

LetterId = tuple[int, int]
"""Partition and offset in `deadletters`, written `3:17`."""

_KINDS = {kind.topic: kind for kind in KINDS}
_ID = re.compile(r"(\d{1,6}):(\d{1,18})", re.ASCII)
_FIELDS = set(DeadLetterHeaders.__struct_fields__)


class BadLetter(ValueError):
    """A record of `deadletters` that does not say what a dead letter says."""


class Message(Protocol):
    """What is asked of a Kafka record; confluent_kafka's Message is one."""

    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def headers(self) -> Any: ...


class State(StrEnum):
    """Where a letter stands."""

    OPEN = "open"
    """waits for somebody"""
    REPLAYED = "replayed"
    """a replay of it has been taken"""
    REFUSED_AGAIN = "refused_again"
    """a replay of it came back as another letter, which tells more"""
    PURGED = "purged"
    """taken off the desk"""


class _Named(Struct):
    type: object = None
    brand: object = None
    user_id: object = None


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One letter at its place in `deadletters`. `at` is when it was refused, in epoch milliseconds."""

    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes | None
    headers: DeadLetterHeaders

    @property
    def id(self) -> str:
        """`PARTITION:OFFSET`."""
        return f"{self.partition}:{self.offset}"

    @property
    def place(self) -> str:
        """Where its record was first refused: by it all replays are known as those of one record."""
        told = self.headers
        return told.replay_of or place_of(told.topic, told.partition, told.offset)

    def mark(self) -> ReplayMark:
        """What its next replay carries."""
        return ReplayMark(self.place, min(self.headers.attempts + 1, MOST_ATTEMPTS), self.headers.first_seen)

    def named(self) -> tuple[str | None, str | None, str | None]:
        """Type, brand and user, as far as they can be read."""
        try:
            head = msgspec.json.decode(unframed(self.value or b""), type=_Named)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None, None, None
        type_, brand, user = (name if isinstance(name, str) else None for name in (head.type, head.brand, head.user_id))
        return type_, brand, user


def read_letter(message: Message) -> DeadLetter:
    """The letter in a record. Raises BadLetter."""
    told = {name: value.decode(errors="replace") for name, value in read_headers(message) if isinstance(value, bytes)}
    try:
        headers = msgspec.convert({name: text for name, text in told.items() if name in _FIELDS}, DeadLetterHeaders, strict=False)
        at = from_rfc3339(told.get("ce_time", headers.first_seen))
        from_rfc3339(headers.first_seen)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise BadLetter(f"{message.partition()}:{message.offset()}: expected a dead letter's headers, found: {error}") from None
    return DeadLetter(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at=at,
        key=message.key(),
        value=message.value(),
        headers=headers,
    )


class FirstSeen:
    """Drops repeats: a shard takes each log in its order, so a letter about an offset not above the last one seen has been seen.

    That is the subscriber's rule, and holds as well where a shard went back to an older state and refused a record twice.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[int, str], int] = {}

    def is_new(self, letter: DeadLetter) -> bool:
        """Whether the letter is to be taken; letters come in the order of their partition."""
        log = letter.partition, letter.headers.topic
        if letter.headers.offset <= self._last.get(log, -1):
            return False
        self._last[log] = letter.headers.offset
        return True


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which letters are meant: those that fit all that is given. Times in epoch milliseconds, `since` inclusive, `until` exclusive."""

    ids: frozenset[LetterId] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    topics: frozenset[str] = frozenset()
    brand: str | None = None
    since: int | None = None
    until: int | None = None

    def fits(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.ids or (letter.partition, letter.offset) in self.ids)
            and (not self.reasons or letter.headers.reason in self.reasons)
            and (not self.topics or letter.headers.topic in self.topics)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (self.brand is None or letter.named()[1] == self.brand)
        )


class Purge(Struct, frozen=True, kw_only=True):
    """Letters taken off the desk at `at`: those that fit and lay before `ends`, an offset for each partition."""

    at: int
    wanted: Wanted
    ends: tuple[int, ...]

    def covers(self, letter: DeadLetter) -> bool:
        """Whether it concerns the letter."""
        return letter.partition < len(self.ends) and letter.offset < self.ends[letter.partition] and self.wanted.fits(letter)


def state_of(letter: DeadLetter, replayed: Mapping[str, object], latest: Mapping[str, LetterId], purges: Iterable[Purge]) -> State:
    """Where a letter stands: `replayed` are the places whose replay was taken, `latest` the last letter of those refused again."""
    if letter.place in replayed:
        return State.REPLAYED
    if latest.get(letter.place, letter_id(letter)) != letter_id(letter):
        return State.REFUSED_AGAIN
    return State.PURGED if any(purge.covers(letter) for purge in purges) else State.OPEN


def letter_id(letter: DeadLetter) -> LetterId:
    """The id as numbers."""
    return letter.partition, letter.offset


def parse_id(text: str) -> LetterId:
    """`3:17`. Raises ValueError."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a dead letter's id, PARTITION:OFFSET such as 3:17, found {text!r}")
    return int(found[1]), int(found[2])


class Verdict(Struct, frozen=True, kw_only=True):
    """What the processor would say of a letter's record now: `topic` is where it belongs; `why` says why it would be refused, and `final`
    that it cannot be sent at all."""

    topic: str
    why: str = ""
    final: bool = False

    @property
    def is_taken(self) -> bool:
        """Whether a replay would count."""
        return not self.why


def judge(letter: DeadLetter, validator: Validator, now: int, value: bytes | None = None) -> Verdict:
    """Whether a replay would be taken, of the letter's own value or of a mended one. `now` in epoch milliseconds."""
    told = letter.headers
    kind = _KINDS.get(told.topic)
    last = from_rfc3339(told.first_seen) + REPLAY_MS
    if kind is None:
        return Verdict(topic=told.topic, why=f"expected it from one of {', '.join(_KINDS)}, found {told.topic!r}", final=True)
    if now > last:
        return Verdict(
            topic=told.topic, why=f"it could be replayed until {to_rfc3339(last)}; by now nobody knows whether it has", final=True
        )
    if value is None:
        value = letter.value
        if told.cut_from_bytes is not None:
            return Verdict(topic=told.topic, why=f"its value was cut from {told.cut_from_bytes} bytes", final=True)
    kind = _kind_of(value) or kind
    try:
        item = validator.validate(kind, value)
    except InvalidRecord as refused:
        return Verdict(topic=kind.topic, why=str(refused))
    return Verdict(topic=kind.topic, why="a tick says only how late it is, and that has passed" if isinstance(item, Tick) else "")


def _kind_of(value: bytes | None) -> Kind | None:
    """The kind of the record's type, which says on which topic it belongs."""
    try:
        type_ = msgspec.json.decode(unframed(value or b""), type=_Named).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return CATALOGUE.get(type_) if isinstance(type_, str) else None
