"""What a step counts on its way: the rollup under construction, and the figures for the metrics."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import xxhash

from schemas.rollup import MAX_BYTES, JunkCount, NewUsers, OrderRow, Rollup, TouchCount
from schemas.times import MINUTE_MS
from schemas.touchpoint import KINDS, Touchpoint
from streams.meta import Meta

_encode = msgspec.json.Encoder().encode
_user_hash = xxhash.xxh3_64_intdigest
_TouchKey = tuple[int, str, str, str | None, str | None, str | None, str]


class Counts:
    """The rollup of one step while it is folded."""

    def __init__(self) -> None:
        self.touches: dict[_TouchKey, tuple[list[int], set[int]]] = {}
        self.new_users: Counter[tuple[int, str]] = Counter()
        self.orders: list[OrderRow] = []
        self.junk: Counter[tuple[int, str, str, str | None]] = Counter()
        """by minute, brand, type and channel"""
        self.duplicates: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.forwarded: Counter[str] = Counter()
        """by type, like the two above"""
        self.dropped: Counter[str] = Counter()
        """evidence beyond its bound, by what"""
        self.replays: Counter[str] = Counter()
        """replays of dead letters by outcome"""
        self.repeated_forwards = 0
        self.ticks = 0

    def touch(self, touchpoint: Touchpoint, at: int, layer_before: str) -> None:
        """Counts an applied touchpoint in its minute."""
        key = (
            at - at % MINUTE_MS,
            touchpoint.brand,
            touchpoint.type,
            touchpoint.channel,
            touchpoint.campaign_id,
            touchpoint.store_id,
            layer_before,
        )
        found = self.touches.get(key)
        user = _user_hash(touchpoint.user_id.encode()) >> 11
        if found is None:
            self.touches[key] = ([1], {user})
        else:
            found[0][0] += 1
            found[1].add(user)

    def applied(self) -> dict[str, int]:
        """Applied touchpoints by type, the late ones included."""
        found: dict[str, int] = {}
        for key, counted in self.touches.items():
            found[key[2]] = found.get(key[2], 0) + counted[0][0]
        return found

    def rollups(self, shard: int, version: int, detected_at: int, ladder: str, meta: Meta, totals: dict[str, Any]) -> list[bytes]:
        """The rollup as JSON, in parts of at most MAX_BYTES, of which the last carries `totals`."""
        touches = [TouchCount(*key, touchpoints[0], list(users)) for key, (touchpoints, users) in self.touches.items()]
        new_users = [NewUsers(minute, brand, users) for (minute, brand), users in self.new_users.items()]
        whole = Rollup(
            shard=shard,
            version=version,
            index=0,
            last=True,
            ladder=ladder,
            detected_at=detected_at,
            watermark=meta.watermark,
            swept_to=meta.swept_to,
            touches=touches,
            new_users=new_users,
            orders=self.orders,
            junk_touches=[JunkCount(*key, records) for key, records in self.junk.items()],
            offsets={kind.topic: meta.offsets[i] for i, kind in enumerate(KINDS)},
            **totals,
        )
        encoded = _encode(whole)
        if len(encoded) <= MAX_BYTES:
            return [encoded]
        return _split(whole)


def _split(whole: Rollup) -> list[bytes]:
    """Rows are dealt out by their own encoded size; a single row is always far below the bound."""
    parts: list[Rollup] = []
    room = 0
    for name in ROWS:
        for row in getattr(whole, name):
            size = len(_encode(row)) + 1
            if room < size:
                parts.append(
                    msgspec.structs.replace(
                        whole,
                        index=len(parts),
                        last=False,
                        **{rows: [] for rows in ROWS},
                        **dict.fromkeys(TOTALS, 0),
                        dead_letters={},
                    )
                )
                room = MAX_BYTES - 4096
            getattr(parts[-1], name).append(row)
            room -= size
    last = parts[-1]
    parts[-1] = msgspec.structs.replace(last, last=True, dead_letters=whole.dead_letters, **{name: getattr(whole, name) for name in TOTALS})
    return [_encode(part) for part in parts]


ROWS = ("touches", "new_users", "orders", "junk_touches")
TOTALS = ("applied", "duplicates", "junk", "late", "forwarded", "ticks", "transitions")
