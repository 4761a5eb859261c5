"""Notes of operators on the timeline: kept in Redis, which is durable here, next to the promotions' book.

`PREFIX:{notes}:BRAND` is a sorted set: JSON of the note by the minute it is about. A note is no record of the stream: no subscriber needs
it and no figure depends on it, so it has no topic.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from schemas.times import MINUTE_MS

MOST = 10_000
"""Notes of a brand. A further one is refused."""

Text = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]

_ADD = """
-- KEYS notes; ARGV minute, note, most. -> 1, or 0 if there are as many as may be
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class Note(Struct, frozen=True, kw_only=True):
    """What somebody wrote about a minute (epoch milliseconds), and when."""

    note_id: str
    at: int
    text: Text
    author: str
    written_at: int


class TooManyNotes(Exception):
    """A brand has as many notes as it may have."""

    def __init__(self) -> None:
        super().__init__(f"expected {MOST} notes of a brand at most: take some away")


class Notes:
    """The notes in one Redis, or Redis Cluster. Every method raises RedisError or OSError. May be shared by threads."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def add(self, brand: str, at: int, text: str, *, author: str, now: int) -> Note:
        """Write a note about the minute of `at`. Raises TooManyNotes."""
        note = Note(note_id=secrets.token_hex(8), at=at - at % MINUTE_MS, text=text, author=author, written_at=now)
        if not self._client.eval(_ADD, 1, self._key(brand), note.at, msgspec.json.encode(note), MOST):
            raise TooManyNotes
        return note

    def between(self, brand: str, start: int, end: int) -> list[Note]:
        """The notes about minutes from `start` to before `end`, in order."""
        found = self._client.zrangebyscore(self._key(brand), start, f"({end}")
        return [msgspec.json.decode(one, type=Note) for one in found]

    def remove(self, brand: str, note_id: str) -> Note | None:
        """Take a note away, and give it back; None if it is not there."""
        for member in self._client.zrange(self._key(brand), 0, -1):
            note = msgspec.json.decode(member, type=Note)
            if note.note_id == note_id:
                return note if self._client.zrem(self._key(brand), member) else None
        return None

    def _key(self, brand: str) -> str:
        return f"{self._prefix}:{{notes}}:{brand}"
