"""Wherever a worker is killed: its successor ends with what an undisturbed worker ends with, state by state and record by record."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS
from sources.producer import Replayed
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.crash import CrashPoint
from streams.state import State
from tests.workers import Deployment, Told, assert_chained, headers_of

POINTS = [point for point in CrashPoint if not point.value.startswith(("sink.", "promotion."))]
"""Every place in takeover, step and publishing: a new one is tested without being named here."""

AT_TAKEOVER = (CrashPoint.TAKEOVER_BEFORE_OUTBOX, CrashPoint.TAKEOVER_AFTER_OUTBOX)
EVENTS = 6_000
STRETCH = 240
"""The simulated thirty hours become three hundred days, so that layers lapse."""


class _Dated(msgspec.Struct):
    occurred_at: object = None


@cache
def lines() -> tuple[bytes, ...]:
    """In order of time, with double orders and broken lines; most users in one brand."""
    return tuple(_lines())


def _lines() -> Iterator[bytes]:
    config = SimulatorConfig(
        load_ladder("5r"),
        seed=7,
        users=900,
        events=EVENTS,
        start=datetime(2025, 1, 1, 18),
        peak=4,
        late=0,
        retries=0,
        text_times=0,
        broken=0.01,
    )
    begin = config.start_ms
    for line in PromotionDay(config).lines():
        try:
            at = msgspec.json.decode(line, type=_Dated).occurred_at
        except (msgspec.DecodeError, UnicodeDecodeError):
            at = None
        if isinstance(at, int) and begin <= at < begin + 31 * 3_600_000:
            line = line.replace(b'"occurred_at":%d' % at, b'"occurred_at":%d' % (begin + (at - begin) * STRETCH))
        yield line


@dataclass
class Ended:
    """What a deployment has come to."""

    users: dict[tuple[int, str], State | None]
    census: list[dict[str, list[int]]]
    watermarks: list[int | None]
    told: Told

    @classmethod
    def of(cls, deployment: Deployment) -> Ended:
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
        return sorted(
            (headers["topic"], headers["partition"], int(headers["offset"]), headers["reason"], letter.key() or b"", letter.value() or b"")
            for letter in self.told.letters
            for headers in [headers_of(letter)]
        )


def assert_equal(found: Ended, expected: Ended) -> None:
    """Nothing lost, nothing doubled, nothing else."""
    assert_chained(found.told, "R0")
    assert found.users.keys() == expected.users.keys()
    assert {place: state for place, state in found.users.items() if state != expected.users[place]} == {}
    assert found.census == expected.census
    assert found.watermarks == expected.watermarks
    assert found.transitions() == expected.transitions()
    assert found.sums() == expected.sums()
    assert found.letters() == expected.letters()


def new_deployment(folder: Path, mock_broker: str, redis_url: str) -> Deployment:
    name = uuid.uuid4().hex[:10]
    given = {"intake": "strict", "clock": "event", "topic_ids": False}
    return Deployment(folder, mock_broker, redis_url, f"c{name}.", f"c{name}", **given).create_topics()


def replayed(deployment: Deployment) -> Replayed:
    return deployment.replay(lines(), slice_records=500)


def until_gone(deployment: Deployment, point: CrashPoint, nth: int) -> None:
    """Start a worker that ends at a crash point and see it killed. A group of its own: none has to wait until the last one is given up."""
    worker = deployment.start(crash_point=f"{point.value}:{nth}", group=f"{deployment.settings.group}-{len(deployment.workers)}")
    assert worker.wait() == -signal.SIGKILL, worker.tail()


def to_the_end(deployment: Deployment, done: Replayed) -> Ended:
    """Start a worker that nobody disturbs, wait until all is done, and stop it."""
    worker = deployment.start(group=f"{deployment.settings.group}-{len(deployment.workers)}")
    deployment.until_applied(done.ends)
    assert worker.stop() == 0, worker.tail()
    return Ended.of(deployment)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, mock_broker: str, redis_url: str) -> Ended:
    """What one worker makes of the lines."""
    with new_deployment(tmp_path_factory.mktemp("undisturbed"), mock_broker, redis_url) as deployment:
        ended = to_the_end(deployment, replayed(deployment))
        recomputed = deployment.recompute()
        assert recomputed.differences == []
        assert recomputed.missing == 0
        assert {t.kind.value for t in ended.told.transitions} == {"advance", "retract", "decay"}
        assert ended.told.repeats == 0
        assert ended.told.letters
        return ended


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_crash_point(undisturbed: Ended, tmp_path: Path, mock_broker: str, redis_url: str, point: CrashPoint, nth: int) -> None:
    with new_deployment(tmp_path, mock_broker, redis_url) as deployment:
        done = replayed(deployment)
        if point in AT_TAKEOVER:
            # So that there is something in an outbox to be taken over.
            until_gone(deployment, CrashPoint.STEP_BEFORE_PUBLISH, 2)
        until_gone(deployment, point, nth)
        assert_equal(to_the_end(deployment, done), undisturbed)
