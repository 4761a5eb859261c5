"""What a restored shard has forgotten, and which backups do not fit together."""

from __future__ import annotations

import pytest

from deploy.restore import steps_to_forget
from streams.errors import RflowError
from streams.forgotten import Forgotten

ONCE = Forgotten(100, 150)


@pytest.mark.parametrize(
    ("known", "published", "stored", "in_redis", "in_clickhouse", "forgotten"),
    [
        (100, 150, 90, [], [], Forgotten(100, 150)),
        (100, 150, 100, [], [], Forgotten(100, 150)),
        (100, 150, 0, [], [], Forgotten(100, 150)),
        (0, 150, 0, [], [], Forgotten(0, 150)),
        (150, 150, 90, [], [], None),
        (151, 150, 151, [], [], None),
        # cut short between ClickHouse and Redis, and run again
        (100, 150, 90, [], [ONCE], Forgotten(100, 150)),
        # lost once more, restored from backups of after, of before, and of both sides of the first time
        (170, 200, 160, [ONCE], [ONCE], Forgotten(170, 200)),
        (80, 200, 70, [], [], Forgotten(80, 200)),
        (170, 200, 90, [ONCE], [], Forgotten(170, 200)),
        (170, 200, 100, [ONCE], [], Forgotten(170, 200)),
        (80, 200, 70, [], [ONCE], Forgotten(80, 200)),
    ],
)
def test_what_was_published_and_redis_does_not_know_is_forgotten(
    known: int, published: int, stored: int, in_redis: list[Forgotten], in_clickhouse: list[Forgotten], forgotten: Forgotten | None
) -> None:
    assert steps_to_forget(3, known, published, stored, in_redis, in_clickhouse) == forgotten


@pytest.mark.parametrize(
    ("known", "stored", "in_redis", "in_clickhouse", "why"),
    [
        (100, 101, [], [], r"found version 101 there, 100 in Redis: restore ClickHouse from a backup made before Redis'"),
        (120, 90, [], [ONCE], r"none of the steps 101 to 150, which ClickHouse was told to pass over, found version 120"),
        (150, 90, [], [ONCE], r"which ClickHouse was told to pass over, found version 150"),
        (170, 101, [ONCE], [], r"none of the steps 101 to 150, which Redis forgot in an earlier restore, found version 101"),
        (170, 160, [ONCE], [], r"which Redis forgot in an earlier restore, found version 160"),
    ],
)
def test_backups_that_do_not_fit_together_are_refused(
    known: int, stored: int, in_redis: list[Forgotten], in_clickhouse: list[Forgotten], why: str
) -> None:
    with pytest.raises(RflowError, match=f"^shard 3: expected .*{why}"):
        steps_to_forget(3, known, 200, stored, in_redis, in_clickhouse)
