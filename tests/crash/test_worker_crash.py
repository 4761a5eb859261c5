"""Wherever a worker is killed: its successor ends with what an undisturbed worker ends with, state by state and record by record."""

from __future__ import annotations

import signal
import uuid
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from schemas.ladder_file import load_ladder
from sources.producer import Replayed
from sources.simulator.config import SimulatorConfig
from streams.crash import CrashPoint
from tests.ended import Ended, assert_equal
from tests.stretched import stretched
from tests.workers import Deployment

POINTS = [point for point in CrashPoint if not point.value.startswith(("sink.", "promotion."))]
"""Every place in takeover, step and publishing: a new one is tested without being named here."""

AT_TAKEOVER = (CrashPoint.TAKEOVER_BEFORE_OUTBOX, CrashPoint.TAKEOVER_AFTER_OUTBOX)
EVENTS = 6_000


@cache
def lines() -> tuple[bytes, ...]:
    """In order of time, with double orders and broken lines; most users in one brand."""
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
    return tuple(stretched(config))


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
