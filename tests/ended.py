"""What a deployment has come to, in a form in which two runs of one input can be compared, however steps were cut and by whomever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.times import MINUTE_MS
from streams.state import State
from tests.workers import Deployment, Told, assert_chained, headers_of


@dataclass
class Ended:
    """States, census and watermarks as Redis has them, outputs as a subscriber sees them."""

    users: dict[tuple[int, str], State | None]
    census: list[dict[str, list[int]]]
    watermarks: list[int | None]
    told: Told

    @classmethod
    def of(cls, deployment: Deployment) -> Ended:
        """Reads it all."""
        metas = deployment.metas()
        users = {}
        for place, state in deployment.users().items():
            if state is not None:
                # Which of two sweeps wrote a lapsed user depends on where steps are cut; that every clock has reached the last turn
                # does not.
                turn = deployment.rules.last_turn(metas[place[0]].watermark or 0)
                state.clock = max(state.clock, turn - state.base)
            users[place] = state
        return cls(users, [meta.census for meta in metas], [meta.watermark for meta in metas], deployment.told())

    def transitions(self) -> dict[tuple[str, str], list[Any]]:
        """Each user's transitions, without what depends on the cuts between steps and on the wall clock."""
        return {
            user: [
                (t.seq, t.from_, t.to, t.kind, t.direction, t.occurred_at, t.effective_at, t.late, t.cause, t.touch, t.first_touch)
                for t in chain
            ]
            for user, chain in self.told.by_user().items()
        }

    def sums(self) -> dict[Any, Any]:
        """What rollups add up to, whatever the cuts between steps."""
        counts: Counter[Any] = Counter()
        users: dict[Any, set[int]] = {}
        orders = []
        for rollup in self.told.rollups:
            for touch in rollup.touches:
                key = touch.minute, touch.brand, touch.type, touch.channel, touch.campaign_id, touch.store_id, touch.layer_before
                assert touch.minute % MINUTE_MS == 0
                counts[key] += touch.touchpoints
                users.setdefault(key, set()).update(touch.users)
            for new in rollup.new_users:
                counts["new", new.minute, new.brand] += new.users
            for junk in rollup.junk_touches:
                counts["junk", junk.minute, junk.brand, junk.type, junk.channel] += junk.records
            for reason, n in rollup.dead_letters.items():
                counts["letter", reason] += n
            for name in ("applied", "duplicates", "junk", "late", "forwarded", "ticks"):
                counts[name] += getattr(rollup, name)
            orders += [msgspec.json.encode(row) for row in rollup.orders]
        return {"counts": counts, "users": users, "orders": sorted(orders)}

    def letters(self) -> list[Any]:
        """The dead letters."""
        return sorted(
            (headers["topic"], headers["partition"], int(headers["offset"]), headers["reason"], letter.key() or b"", letter.value() or b"")
            for letter in self.told.letters
            for headers in [headers_of(letter)]
        )


def assert_equal(found: Ended, expected: Ended) -> None:
    """Nothing lost, nothing doubled, nothing else."""
    assert_chained(found.told, "R0")
    assert differences(found, expected) == []


def differences(found: Ended, expected: Ended, *, ticks: bool = True) -> list[str]:
    """Everything in which two runs differ, in words; without `ticks` they may have been told the time differently often."""
    sums, expected_sums = found.sums(), expected.sums()
    if not ticks:
        sums["counts"].pop("ticks", None)
        expected_sums["counts"].pop("ticks", None)
    told = [
        *_differing("user", found.users, expected.users),
        *_differing("transitions of", found.transitions(), expected.transitions()),
        *_differing("census of shard", dict(enumerate(found.census)), dict(enumerate(expected.census))),
        *_differing("watermark of shard", dict(enumerate(found.watermarks)), dict(enumerate(expected.watermarks))),
        *_differing("count", sums["counts"], expected_sums["counts"]),
        *_differing("users of", sums["users"], expected_sums["users"]),
    ]
    for name, ours, theirs in (("order", sums["orders"], expected_sums["orders"]), ("dead letter", found.letters(), expected.letters())):
        told += _differing(name, Counter(ours), Counter(theirs))
    return told


def _differing(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> list[str]:
    keys = [key for key in dict.fromkeys([*expected, *found]) if found.get(key) != expected.get(key) or (key in found) != (key in expected)]
    return [f"{what} {key}: expected {expected.get(key, 'none')}, found {found.get(key, 'none')}" for key in keys]
