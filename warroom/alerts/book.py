"""The alerts' book in Redis: each brand's state, what was told and has not reached everybody, acknowledgements and silences.

    states    hash     brand -> its `BrandState`
    versions  hash     brand -> how often that was saved
    out       stream   records of alerts, in the order in which they were told
    cursors   hash     reader (the topic, a channel) -> the last entry it is done with
    trying    hash     reader -> the entry up to which it is sending: after a crash nobody knows whether that has arrived
    acks      hash     alert id -> who took it on, when and with what note
    silences  hash     id -> a `Silence`

A state and what it tells are saved in one script that compares first: two processes that judge the same minute tell it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from schemas.alert import Alert
from warroom.alerts.engine import BrandState
from warroom.alerts.silence import Silence
from warroom.states import RedisConfig

_SAVE = """
-- KEYS states versions out; ARGV brand, expected version, state, records. -> 1, or 0 if somebody else has saved
if (redis.call('HGET', KEYS[2], ARGV[1]) or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
for i = 4, #ARGV do redis.call('XADD', KEYS[3], '*', 'r', ARGV[i]) end
return 1
"""
_TRIM = """
-- KEYS out cursors; ARGV every reader. -> removes what all are done with
local least = nil
for i = 1, #ARGV do
    local at = redis.call('HGET', KEYS[2], ARGV[i])
    if not at then return 0 end
    local ms, n = string.match(at, '(%d+)-(%d+)')
    if least == nil or tonumber(ms) < least[1] or (tonumber(ms) == least[1] and tonumber(n) < least[2]) then
        least = {tonumber(ms), tonumber(n), at}
    end
end
return redis.call('XTRIM', KEYS[1], 'MINID', least[3])
"""
T = TypeVar("T")


class Ack(Struct, frozen=True, kw_only=True):
    """Who took an alert on."""

    alert_id: str
    by: str
    at: int
    note: str = ""


class Told(NamedTuple):
    """A record that was told; `entry` is its place."""

    entry: str
    alert: Alert
    raw: bytes


@contextmanager
def opened(config: RedisConfig) -> Iterator[AlertBook]:
    """The book, while it is needed."""
    client = config.client()
    try:
        yield AlertBook(client, config.prefix)
    finally:
        client.close()


class AlertBook:
    """Blocking; may be shared by threads. Raises RedisError or OSError."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        base = f"{prefix}:{{alerts}}"
        names = ("states", "versions", "out", "cursors", "trying", "acks", "silences")
        self._keys = {name: f"{base}:{name}" for name in names}

    def load(self, brand: str) -> tuple[int, BrandState]:
        """How often the brand's state was saved, and the state."""
        version, state = self._client.hget(self._keys["versions"], brand), self._client.hget(self._keys["states"], brand)
        if state is None:
            return 0, BrandState(brand=brand)
        return int(version), msgspec.json.decode(state, type=BrandState)

    def save(self, version: int, state: BrandState, alerts: Sequence[Alert]) -> bool:
        """Save the state that follows `version`, and what it tells; False if somebody else was first."""
        keys = [self._keys[name] for name in ("states", "versions", "out")]
        records = [msgspec.json.encode(alert) for alert in alerts]
        return bool(self._client.eval(_SAVE, 3, *keys, state.brand, str(version), msgspec.json.encode(state), *records))

    def unread(self, reader: str, most: int) -> list[Told]:
        """What a reader is not done with, oldest first."""
        cursor = self._text(self._client.hget(self._keys["cursors"], reader))
        rows = self._client.xrange(self._keys["out"], f"({cursor}" if cursor else "-", "+", count=most)
        return [Told(entry.decode(), msgspec.json.decode(fields[b"r"], type=Alert), fields[b"r"]) for entry, fields in rows]

    def done(self, reader: str, entry: str) -> None:
        """A reader is done with all up to an entry."""
        self._client.hset(self._keys["cursors"], reader, entry)
        self._client.hdel(self._keys["trying"], reader)

    def trying(self, reader: str, entry: str) -> None:
        """A reader is about to send all up to an entry."""
        self._client.hset(self._keys["trying"], reader, entry)

    def tried(self, reader: str) -> str | None:
        """Up to where a reader was sending when it was last heard of."""
        return self._text(self._client.hget(self._keys["trying"], reader)) or None

    def not_sent(self, reader: str) -> None:
        """What was tried is known not to have arrived."""
        self._client.hdel(self._keys["trying"], reader)

    def trim(self, readers: Sequence[str]) -> None:
        """Forget what every one of these is done with."""
        self._client.eval(_TRIM, 2, self._keys["out"], self._keys["cursors"], *readers)

    def acknowledge(self, ack: Ack) -> Ack:
        """Take an alert on; who came first stays."""
        self._client.hsetnx(self._keys["acks"], ack.alert_id, msgspec.json.encode(ack))
        return msgspec.json.decode(self._client.hget(self._keys["acks"], ack.alert_id), type=Ack)

    def acks(self) -> dict[str, Ack]:
        """Every acknowledgement by alert."""
        return {one.alert_id: one for one in self._values("acks", Ack)}

    def silence(self, silence: Silence) -> None:
        """Add a silence."""
        self._client.hset(self._keys["silences"], silence.silence_id, msgspec.json.encode(silence))

    def end_silence(self, silence_id: str) -> bool:
        """End a silence now; False if there is none."""
        return bool(self._client.hdel(self._keys["silences"], silence_id))

    def silences(self) -> list[Silence]:
        """Every silence, those that have ended included."""
        return self._values("silences", Silence)

    def _values(self, name: str, of: type[T]) -> list[T]:
        return [msgspec.json.decode(value, type=of) for value in self._client.hvals(self._keys[name])]

    @staticmethod
    def _text(value: bytes | None) -> str:
        return value.decode() if value else ""
