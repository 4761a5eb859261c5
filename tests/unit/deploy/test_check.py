"""What `rflow check` says of users after a change of the ladder."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from deploy.check import Recomputed, compare
from schemas.ladder import BrandOverride, Ladder
from schemas.times import DAY_MS, MINUTE_MS
from streams.pace import PACES
from streams.plain import PlainFold
from tests.golden.cases import ladder_named
from tests.golden.fold_engine import MemoryShard
from tests.unit.streams.test_recompute import AT, Records, touch

FIVE = ladder_named("5r")
FEW = replace(FIVE, junk_above=2)
FEW_OF_ACME = replace(FIVE, brands={"acme": BrandOverride(junk_above=2)})


def flood(begin: int) -> Records:
    """Five exposures of a user within a minute, and one of another user."""
    found: Records = [replace(touch(n), event_id=f"{begin}-{n}", occurred_at=begin + 1_000 * n) for n in range(5)]
    return [*found, replace(touch(5), event_id=f"{begin}-5", user_id="calm", occurred_at=begin + 5_000)]


def checked(shard: MemoryShard, ladder: Ladder, records: Records) -> Recomputed:
    fold, done = PlainFold(ladder), Recomputed()
    for record in records:
        fold.apply(record)
    users = [(f"{shard.rules.brands[brand].key}:{user}", state) for (brand, user), state in shard.users().items()]
    compare(fold, users, 0, shard.meta, shard.rules, done)
    return done


@pytest.mark.parametrize(("old", "new"), [(FEW, FIVE), (FIVE, FEW), (FIVE, FEW_OF_ACME)], ids=["raised", "lowered", "of one brand"])
def test_what_another_bound_of_junk_took_is_excused_and_nothing_else_is(old: Ladder, new: Ladder) -> None:
    new = replace(new, version=2)
    shard, before = MemoryShard(old), flood(AT)
    shard.step(before)
    shard.recompute(new, 10)
    assert set(shard.meta.partial) == {"reach", "respond", *PACES.values()}
    found = checked(shard, new, before)
    assert (found.differences, found.unproven, found.users) == ([], 1, 2)

    # What comes under the new bound is judged by it, and the user is compared again.
    after = [*flood(AT + DAY_MS), *flood(AT + DAY_MS + MINUTE_MS)]
    shard.step(after)
    found = checked(shard, new, [*before, *after])
    assert (found.differences, found.unproven) == ([], 0)
    assert [d.what for d in checked(shard, new, [*before, after[0], *after[5:]]).differences] == ["exposure: pace"]
    assert {d.what for d in checked(shard, new, [*before, *after[:-1]]).differences} == {"reach", "exposure: pace"}

    # What is said of paces goes through the next change with it.
    since = dict(shard.meta.partial)
    shard.recompute(replace(new, version=3), 10)
    assert shard.meta.partial == since


def test_without_another_bound_a_pace_that_differs_is_told() -> None:
    shard, before = MemoryShard(FIVE), flood(AT)
    shard.step(before)
    shard.recompute(replace(FIVE, version=2), 10)
    assert shard.meta.partial == {}
    (difference,) = checked(shard, replace(FIVE, version=2), [*before[:3], *before[4:]]).differences
    assert (difference.what, difference.user_id) == ("exposure: pace", "u1")
    assert (difference.redis, difference.topics) == ([(AT // MINUTE_MS, 5)], [(AT // MINUTE_MS, 4)])
