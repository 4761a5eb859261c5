"""What stands still, and why: every cause by itself, and what hides or outranks another."""

from __future__ import annotations

from typing import Any

import pytest

from warroom.live.freshness import Freshness, Reason, Vitals, freshness

FINE: dict[str, Any] = {"unread": 0, "applied_still": 0.5, "stored_lag": 0.4, "quiet": 0.5}


def reasons(**given: float | None) -> list[Reason]:
    return [cause.reason for cause in freshness(Vitals(**{**FINE, **given})).causes]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"clickhouse_away": 2.9}, []),
        ({"clickhouse_away": 3.0}, [Reason.CLICKHOUSE_AWAY]),
        ({"redis_away": 8}, [Reason.REDIS_AWAY]),
        ({"kafka_away": 8}, [Reason.KAFKA_AWAY]),
        ({"unread": 10, "applied_still": 5.0}, [Reason.WORKER_DOWN]),
        ({"unread": 10, "applied_still": 4.9}, []),  # it has just not come to it
        ({"unread": 0, "applied_still": 600}, []),  # nothing to do
        ({"unread": 60_000, "applied_still": 0.1}, [Reason.WORKER_BEHIND]),
        ({"unread": 60_000, "applied_still": 9}, [Reason.WORKER_DOWN]),
        ({"stored_lag": 5.0}, [Reason.SINK_BEHIND]),
        ({"stored_lag": 4.9}, []),
        ({"quiet": 60.0}, [Reason.NO_EVENTS]),
        ({"quiet": 59.0}, []),
        ({"quiet": 90, "unread": 3}, []),  # what came is not done with: it is not the silence that one sees
        # what a server that is away hides is not guessed at
        ({"clickhouse_away": 9, "stored_lag": 9}, [Reason.CLICKHOUSE_AWAY]),
        ({"redis_away": 9, "unread": 10, "applied_still": 9}, [Reason.REDIS_AWAY]),
        ({"kafka_away": 90, "quiet": 90}, [Reason.KAFKA_AWAY]),
        # several at once, the most telling first
        ({"quiet": 90, "stored_lag": 90}, [Reason.SINK_BEHIND, Reason.NO_EVENTS]),
        ({"unread": 10, "applied_still": 9, "stored_lag": 9}, [Reason.WORKER_DOWN, Reason.SINK_BEHIND]),
        ({"redis_away": 9, "clickhouse_away": 9, "kafka_away": 9}, [Reason.CLICKHOUSE_AWAY, Reason.REDIS_AWAY, Reason.KAFKA_AWAY]),
        # what is not known is not said
        ({"unread": None, "applied_still": None, "stored_lag": None, "quiet": None}, []),
        ({"unread": None, "applied_still": 90}, []),
    ],
)
def test_what_stands_still(given: dict[str, float | None], expected: list[Reason]) -> None:
    assert reasons(**given) == expected


def test_it_is_live_only_while_nothing_stands_still() -> None:
    assert freshness(Vitals(**FINE)) == Freshness(live=True, causes=[])
    told = freshness(Vitals(**{**FINE, "unread": 7, "applied_still": 12.34}))
    assert not told.live
    assert (told.causes[0].seconds, told.causes[0].detail) == (12.3, "7 records wait and no worker takes them")
