"""Inputs for the fuzzer: sequences of touchpoints that collide, bent and broken one by one. Nothing but a random generator decides."""

from __future__ import annotations

import random
from typing import Any

import orjson

from schemas.times import DAY_MS
from schemas.touchpoint import CATALOGUE, Kind
from tests.fuzz.shard import NOW, SEPARATOR, pack
from tests.hostile.corpus import IDENTITIES, cases

SEEDS: tuple[bytes, ...] = tuple(
    pack(case.kind, case.value) for case in cases(NOW) if case.value and len(case.value) < 4_096 and SEPARATOR not in case.value
)
"""The hostile records, the large ones left out."""

_USERS = ("u1", "u2", "u3", "u4", *list(IDENTITIES.values())[:8])
_TYPES = (*CATALOGUE, *["purchase", "refund", "ad_exposure", "like", "group_join", "group_leave"] * 3)
_DAYS = (0, 0, 0, 1, 7, 29, 30, 31, 89, 90, 91, 180, 364, 365, 366, 730)
_SHIFTS = (0, 0, 0, -1, 1, 600_000, 600_001, 60_000)
_TIMES = (
    "2026-11-11T00:00:00Z",
    "2026-10-01T04:00:00.000+08:00",
    "2025-11-11t00:00:00.5z",
    "1970-01-01T00:00:00Z",
    "2026-11-11 00:00:00-05:30",
)
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**53, 2**63, -(2**63), "", "x" * 128, "x" * 129, [], {}, {"a": [{}]}, "tick", "CNY", "XTS"),
    *(NOW, NOW + 299_999, NOW + 300_001, *IDENTITIES.values(), *_TIMES),
)
_RAW = (b"NaN", b"1e400", b"-0", b"9" * 400, b'"\\ud800"', b'"\\ud83d\\ude00"', b"[[[[[[", b"\xff", b"\x00", b"1e5", b'""', b"{}", b"tru")
_MOST_RECORDS = 10


class Mutator:
    """Makes inputs and changes inputs. The same generator gives the same ones."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def input(self) -> bytes:
        """A new input of one to ten records."""
        chance = self._chance
        return SEPARATOR.join(self.part() for _ in range(1 + int(chance.random() * _MOST_RECORDS)))

    def mutated(self, data: bytes, most: int) -> bytes:
        """An input like this one, at most so many bytes long."""
        chance = self._chance
        parts = data.split(SEPARATOR)
        at = int(chance.random() * len(parts))
        match int(chance.random() * 6):
            case 0:
                parts.insert(at, self.part())
            case 1:
                parts.insert(at, chance.choice(parts))
            case 2 if len(parts) > 1:
                del parts[at]
            case 3:
                parts[at] = self._flagged(parts[at][1:])
            case 4:
                parts[at] = parts[at][:1] + self._bent(parts[at][1:])
            case _:
                parts[at] = parts[at][:1] + self._broken(parts[at][1:])
        return SEPARATOR.join(parts)[:most]

    def part(self) -> bytes:
        """A new input of one record."""
        chance = self._chance
        which = chance.random()
        if which < 0.1:
            return chance.choice(SEEDS)
        if which < 0.13:
            return pack(None, self._spend(), int(chance.random() * 50))
        value = self._touchpoint()
        if which < 0.3:
            value = self._bent(value)
        elif which < 0.4:
            value = self._broken(value)
        return self._flagged(value)

    def _flagged(self, value: bytes) -> bytes:
        """The value on the topic where its type says it belongs, mostly."""
        chance = self._chance
        more = int(chance.random() * 50)
        if chance.random() < 0.9:
            kind = next((kind for name, kind in CATALOGUE.items() if b'"%s"' % name.encode() in value), Kind.EXPOSURE)
        else:
            kind = chance.choice((*Kind,))
        return pack(kind, value, more)

    def _touchpoint(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.1:
            return b'{"type":"tick","occurred_at":%d}' % self._instant()
        type_ = chance.choice(_TYPES)
        fields: dict[str, Any] = {
            "event_id": f"e{int(chance.random() * 24)}",
            "type": type_,
            "brand": chance.choice(("acme", "zeta")),
            "user_id": chance.choice(_USERS) if chance.random() < 0.3 else "u1",
            "occurred_at": chance.choice(_TIMES) if chance.random() < 0.05 else self._instant(),
        }
        kind = CATALOGUE[type_]
        if kind is Kind.MEMBERSHIP:
            fields["relation_id"] = chance.choice(("x", "y"))
        elif kind is Kind.ORDER:
            fields["order_id"], fields["amount"] = chance.choice(("o1", "o2", "o3")), chance.choice((0, 1, 40, 60, 100, 10**15))
        for label in ("channel", "campaign_id", "store_id", "guide_id"):
            if chance.random() < 0.3:
                fields[label] = chance.choice(("a", "b", "c", *_USERS))
        return orjson.dumps(fields)

    def _spend(self) -> bytes:
        chance = self._chance
        day = chance.choice(("2026-11-11", "1970-01-01", "2299-12-31", "0001-01-01", "9999-12-31", "2026-02-30", "2026-11-11\n"))
        value = orjson.dumps(
            {"spend_id": "s", "brand": "acme", "day": day, "amount": 1, "currency": chance.choice(("CNY", "cny", "CNY\n"))}
        )
        return self._bent(value) if chance.random() < 0.5 else value

    def _instant(self) -> int:
        chance = self._chance
        return NOW - chance.choice(_DAYS) * DAY_MS + chance.choice(_SHIFTS)

    def _bent(self, value: bytes) -> bytes:
        """Still JSON, mostly, with something changed that it says."""
        chance = self._chance
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError:
            return self._broken(value)
        if not isinstance(fields, dict) or not fields:
            return self._broken(value)
        name = chance.choice(sorted(fields))
        if chance.random() < 0.15:
            del fields[name]
            return orjson.dumps(fields)
        if chance.random() < 0.3:
            raw = chance.choice(_RAW)
            return orjson.dumps(fields)[:-1] + b',"%s":%s}' % (name.encode(), raw)
        fields[name] = chance.choice(_VALUES)
        return orjson.dumps(fields)

    def _broken(self, value: bytes) -> bytes:
        """The value with some bytes flipped, cut, doubled or put in."""
        chance = self._chance
        bytes_ = bytearray(value or b"{}")
        for _ in range(1 + int(chance.random() * 3)):
            at = int(chance.random() * (len(bytes_) + 1))
            match int(chance.random() * 5):
                case 0:
                    del bytes_[at : at + 1 + int(chance.random() * 8)]
                case 1:
                    bytes_[at:at] = chance.choice(_RAW)
                case 2:
                    bytes_[at:at] = bytes_[max(0, at - 16) : at]
                case 3:
                    bytes_[at : at + 1] = bytes([int(chance.random() * 256)])
                case _:
                    bytes_[at : at + 1] = chance.choice((b'"', b"{", b"}", b",", b":", b"\\", b"0", b"-", b"."))
        return bytes(bytes_)
