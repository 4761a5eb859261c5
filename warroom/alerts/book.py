"""The alerts' book in Redis, the truth about what stands: each brand's state, what was told and has not reached everybody,
acknowledgements and silences. The topic `alerts`, and by it ClickHouse, follow it.

    states    hash     brand -> its `BrandState`
    versions  hash     brand -> how often that was saved
    out       stream   records of alerts, in the order in which they were told
    cursors   hash     reader (the topic, a channel) -> the last entry it is done with
    trying    hash     reader -> the entry up to which it is sending: after a crash nobody knows whether that has arrived
    withheld  set      for each channel: alerts of which a silence held back the beginning, and nothing was sent since
    acks      hash     alert id -> who took it on, when and with what note; who came first stays
    asked     hash     alert id -> an acknowledgement that the engine has not told yet
    silences  hash     id -> a `Silence`

A state and what it tells are saved in one script that compares first: two processes that judge the same minute tell it once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.alert import Acknowledgement, Alert
from schemas.times import DAY_MS
from warroom.alerts.engine import BrandState
from warroom.alerts.silence import Silence
from warroom.states import RedisConfig

_SAVE = """
-- KEYS states versions out asked; ARGV brand, expected version, state, how many answered, answered, records.
-- -> 1, or 0 if somebody else has saved
if (redis.call('HGET', KEYS[2], ARGV[1]) or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
local answered = tonumber(ARGV[4])
for i = 5, 4 + answered do redis.call('HDEL', KEYS[4], ARGV[i]) end
for i = 5 + answered, #ARGV do redis.call('XADD', KEYS[3], '*', 'r', ARGV[i]) end
return 1
"""
_ACKNOWLEDGE = """
-- KEYS acks asked; ARGV alert, acknowledgement, what is asked of the engine. -> the acknowledgement that stands
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return redis.call('HGET', KEYS[1], ARGV[1])
"""
_SILENCE = """
-- KEYS silences; ARGV id, silence, most. -> 1, or 0 if there are as many as may be
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
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


MOST_SILENCES = 1_000
"""Of all brands. A further one is refused."""
_KEPT_MS = 30 * DAY_MS
"""For how long silences that have ended are kept, and what they withheld."""


class Asked(Struct, frozen=True, kw_only=True):
    """An acknowledgement on its way to the engine, with the alert as the person saw it."""

    alert: Alert
    acknowledgement: Acknowledgement


class TooManySilences(Exception):
    """There are as many silences as there may be."""

    def __init__(self) -> None:
        super().__init__(f"expected {MOST_SILENCES} silences at most, running or of the last 30 days")


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
        names = ("states", "versions", "out", "cursors", "trying", "withheld", "acks", "asked", "silences")
        self._keys = {name: f"{base}:{name}" for name in names}

    def load(self, brand: str) -> tuple[int, BrandState]:
        """How often the brand's state was saved, and the state."""
        version, state = self._client.hget(self._keys["versions"], brand), self._client.hget(self._keys["states"], brand)
        if state is None:
            return 0, BrandState(brand=brand)
        return int(version), msgspec.json.decode(state, type=BrandState)

    def save(self, version: int, state: BrandState, alerts: Sequence[Alert], answered: Sequence[str] = ()) -> bool:
        """Save the state that follows `version`, what it tells, and that it has `answered` acknowledgements of these alerts; False if
        somebody else was first."""
        keys = [self._keys[name] for name in ("states", "versions", "out", "asked")]
        records = [msgspec.json.encode(alert) for alert in alerts]
        saved = (state.brand, str(version), msgspec.json.encode(state), len(answered), *answered, *records)
        return bool(self._client.eval(_SAVE, len(keys), *keys, *saved))

    def unread(self, reader: str, most: int) -> list[Told]:
        """What a reader is not done with, oldest first."""
        cursor = self._text(self._client.hget(self._keys["cursors"], reader))
        rows = self._client.xrange(self._keys["out"], f"({cursor}" if cursor else "-", "+", count=most)
        return [_told(*row) for row in rows]

    def done(self, reader: str, entry: str, withheld: Collection[str] = (), known: Collection[str] = ()) -> None:
        """A reader is done with all up to an entry. Of some alerts the beginning was withheld from it; others it knows by now."""
        key = f"{self._keys['withheld']}:{reader}"
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys["cursors"], reader, entry)
            pipe.hdel(self._keys["trying"], reader)
            if known:
                pipe.srem(key, *known)
            if withheld:
                pipe.sadd(key, *withheld)
                pipe.pexpire(key, _KEPT_MS)
            pipe.execute()

    def withheld(self, reader: str) -> set[str]:
        """Alerts whose beginning a silence held back from a reader, and of which it has been sent nothing since."""
        return {one.decode() for one in self._client.smembers(f"{self._keys['withheld']}:{reader}")}

    def trying(self, reader: str, entry: str) -> None:
        """A reader is about to send all up to an entry."""
        self._client.hset(self._keys["trying"], reader, entry)

    def tried(self, reader: str) -> str | None:
        """Up to where a reader was sending when it was last heard of."""
        return self._text(self._client.hget(self._keys["trying"], reader)) or None

    def kept(self) -> list[Told]:
        """All that was told and not every reader is known to be done with."""
        return [_told(*row) for row in self._client.xrange(self._keys["out"])]

    def doubt(self, kept: Sequence[Told]) -> None:
        """Nobody knows which of these have been sent: as after a process that died while it was sending them."""
        if kept:
            for reader in self._client.hgetall(self._keys["cursors"]):
                self._client.hset(self._keys["trying"], reader, kept[-1].entry)

    def not_sent(self, reader: str) -> None:
        """What was tried is known not to have arrived."""
        self._client.hdel(self._keys["trying"], reader)

    def trim(self, readers: Sequence[str]) -> None:
        """Forget what every one of these is done with."""
        self._client.eval(_TRIM, 2, self._keys["out"], self._keys["cursors"], *readers)

    def acknowledge(self, alert: Alert, acknowledgement: Acknowledgement) -> Acknowledgement:
        """Take an alert on, and ask the engine to tell so; the acknowledgement that stands: who came first stays."""
        asked = Asked(alert=alert, acknowledgement=acknowledgement)
        values = (alert.alert_id, msgspec.json.encode(acknowledgement), msgspec.json.encode(asked))
        stands = self._client.eval(_ACKNOWLEDGE, 2, self._keys["acks"], self._keys["asked"], *values)
        return msgspec.json.decode(stands, type=Acknowledgement)

    def take_in(self, alert_id: str, acknowledgement: Acknowledgement) -> None:
        """Who has taken an alert on, as was told; who came first stays."""
        self._client.hsetnx(self._keys["acks"], alert_id, msgspec.json.encode(acknowledgement))

    def asked(self) -> list[Asked]:
        """Acknowledgements that the engine has not told."""
        return self._values("asked", Asked)

    def acknowledgements(self, alert_ids: Sequence[str]) -> dict[str, Acknowledgement]:
        """Those that stand, of these alerts."""
        found = self._client.hmget(self._keys["acks"], alert_ids) if alert_ids else []
        told = zip(alert_ids, found, strict=True)
        return {one: msgspec.json.decode(value, type=Acknowledgement) for one, value in told if value is not None}

    def silence(self, silence: Silence, now: int) -> None:
        """Add a silence, and forget those that have long ended. Raises TooManySilences."""
        long_ended = [one.silence_id for one in self.silences() if one.until < now - _KEPT_MS]
        if long_ended:
            self._client.hdel(self._keys["silences"], *long_ended)
        values = (silence.silence_id, msgspec.json.encode(silence), MOST_SILENCES)
        if not self._client.eval(_SILENCE, 1, self._keys["silences"], *values):
            raise TooManySilences

    def end_silence(self, brand: str, silence_id: str, *, by: str, now: int) -> Silence | None:
        """End a silence of a brand that runs; None if there is none."""
        value = self._client.hget(self._keys["silences"], silence_id)
        found = None if value is None else msgspec.json.decode(value, type=Silence)
        if found is None or found.brand != brand or found.until <= now:
            return None
        ended = replace(found, until=now, ended_by=by)
        self._client.hset(self._keys["silences"], silence_id, msgspec.json.encode(ended))
        return ended

    def silences(self) -> list[Silence]:
        """Every silence, those that have ended included."""
        return self._values("silences", Silence)

    def _values(self, name: str, of: type[T]) -> list[T]:
        return [msgspec.json.decode(value, type=of) for value in self._client.hvals(self._keys[name])]

    @staticmethod
    def _text(value: bytes | None) -> str:
        return value.decode() if value else ""


def _told(entry: bytes, fields: dict[bytes, bytes]) -> Told:
    return Told(entry.decode(), msgspec.json.decode(fields[b"r"], type=Alert), fields[b"r"])
