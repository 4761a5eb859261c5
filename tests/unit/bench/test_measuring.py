"""The instruments measure what they say."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from bench.machine import _cpu, cpu_seconds, on_cores, thread_seconds
from bench.phases import Meter


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_threads_name_may_hold_brackets_and_spaces() -> None:
    name, seconds = _cpu("12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 100 50 0 0 20 0")
    assert name == "a (b) c"
    assert seconds == pytest.approx(150 / os.sysconf("SC_CLK_TCK"))


def test_cpu_of_all_threads_counts() -> None:
    before, threads = cpu_seconds(os.getpid()), thread_seconds(os.getpid())
    other = threading.Thread(target=spin, args=(0.1,))
    other.start()
    other.join()
    assert cpu_seconds(os.getpid()) - before > 0.08
    assert set(threads) == {"main", "librdkafka", "other"}


def test_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_cores(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


async def test_the_meter_counts_work_and_not_waiting() -> None:
    meter = Meter()

    async def work() -> int:
        spin(0.02)
        await asyncio.sleep(0.1)
        spin(0.02)
        return 7

    async def beside() -> None:
        spin(0.05)

    metered = meter.coroutine("read", work)
    result, _ = await asyncio.gather(metered(), beside())
    assert result == 7
    assert 0.04 <= meter.seconds["read"] < 0.09


async def test_a_metered_coroutine_can_be_cancelled_and_can_handle_it() -> None:
    handled = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            handled.append(True)
            raise

    task = asyncio.ensure_future(Meter().coroutine("read", work)())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handled == [True]


def test_a_phase_inside_another_counts_for_itself_alone() -> None:
    now = 0.0
    meter = Meter(lambda: now)

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    def outer() -> None:
        work(1)
        meter.run("read", lambda: work(10))
        work(100)

    meter.run("step", outer)
    work(1000)
    assert (meter.seconds["step"], meter.seconds["read"]) == (101, 10)


def test_a_metered_function_passes_on_what_it_raises() -> None:
    meter = Meter()

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        meter.function("fold", fail)()
    assert meter.seconds["fold"] >= 0
