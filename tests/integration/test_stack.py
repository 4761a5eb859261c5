"""The supervisor: what it starts again, what ends the run, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from deploy.stack.endpoints import running_stack
from deploy.stack.errors import DataFolderInUseError, ProcessLostError, StackError, StackInterruptedError, StartFailedError
from deploy.stack.keeper import StackEvent
from deploy.stack.pidfile import read_pid
from deploy.stack.process import ProcessSpec
from deploy.stack.servers import ServerName, StackConfig
from deploy.stack.supervisor import Stack
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
NONE: frozenset[ServerName] = frozenset()
REDIS: frozenset[ServerName] = frozenset({"redis"})
BROKER: frozenset[ServerName] = frozenset({"broker"})


def sleeper(role: str = "worker", number: int = 1) -> ProcessSpec:
    return ProcessSpec(role=role, number=number, argv=("sleep", "1000"))


def script(text: str, **options: object) -> ProcessSpec:
    return ProcessSpec(role="worker", argv=("sh", "-c", text), **options)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    await asyncio.to_thread(wait_until, holds, "the stack", seconds)


class TestRestart:
    async def test_a_killed_server_comes_back_at_its_address_with_what_it_had_acknowledged(self, tmp_path: Path) -> None:
        events: list[StackEvent] = []
        async with Stack(StackConfig(data=tmp_path, servers=REDIS), on_event=events.append) as stack:
            url, pid = stack.redis_url, stack.pid("redis")
            with redis.Redis.from_url(url) as client:
                client.set("k", "v")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: stack.pid("redis") not in (None, pid) and events[-1].kind == "ready")
            assert stack.redis_url == url
            with redis.Redis.from_url(url) as client:
                assert client.get("k") == b"v"
            assert read_pid(tmp_path / "run" / "redis-1.pid") == stack.pid("redis")
            assert stack.restarts == {"redis-1": 1}
        died = next(event for event in events if event.kind == "died")
        assert (died.process, died.detail) == ("redis-1", "was killed by SIGKILL")

    async def test_deaths_asked_for_do_not_count_as_crashes(self, tmp_path: Path) -> None:
        events: list[StackEvent] = []
        async with Stack(StackConfig(data=tmp_path, servers=NONE, crash_limit=2), on_event=events.append) as stack:
            await stack.start(sleeper())

            def back_after(deaths: int) -> bool:
                return stack.restarts["worker-1"] == deaths and events[-1].kind == "ready"

            for deaths in range(1, 5):
                stack.kill("worker")
                await eventually(partial(back_after, deaths))

    async def test_a_crash_loop_ends_the_run_and_quotes_the_log(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with Stack(StackConfig(data=tmp_path, servers=NONE, crash_limit=3)) as stack:
                await stack.start(script("sleep 0.2; echo cannot go on; exit 7"))
                await stack.run_until_stopped()

        with pytest.raises(ProcessLostError, match=r"worker-1 died 3 times within 60 s.*exit status 7(?s:.*)cannot go on"):
            await run()


class TestTheEndOfARun:
    async def test_the_death_of_the_in_memory_broker_ends_the_run(self, tmp_path: Path) -> None:
        events: list[StackEvent] = []

        async def run() -> None:
            async with Stack(StackConfig(data=tmp_path, servers=BROKER, topics=("in",)), on_event=events.append) as stack:
                stack.kill("broker")
                await stack.run_until_stopped()

        expected = r"broker-1 was killed by SIGKILL\. The in-memory broker keeps every topic in its own memory"
        with pytest.raises(ProcessLostError, match=expected):
            await run()
        assert [event.kind for event in events] == ["starting", "ready", "lost"]

    async def test_a_failure_cancels_whatever_the_body_does(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with Stack(StackConfig(data=tmp_path, servers=BROKER, topics=("in",))) as stack:
                stack.kill("broker")
                await asyncio.sleep(60)

        with pytest.raises(ProcessLostError):
            await run()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    async def test_a_failure_explains_the_errors_it_causes(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with Stack(StackConfig(data=tmp_path, servers=BROKER, topics=("in",))) as stack:
                stack.kill("broker")
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise ConnectionError("no broker") from None

        with pytest.raises(ProcessLostError) as caught:
            await run()
        assert isinstance(caught.value.__cause__, ConnectionError)

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    async def test_a_signal_ends_run_until_stopped(self, tmp_path: Path, signum: signal.Signals) -> None:
        async with Stack(StackConfig(data=tmp_path, servers=NONE)) as stack:
            asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signum)
            assert await stack.run_until_stopped() == signum

    async def test_a_signal_cancels_whatever_else_the_body_does(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with Stack(StackConfig(data=tmp_path, servers=NONE)):
                asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
                await asyncio.sleep(60)

        with pytest.raises(StackInterruptedError) as caught:
            await run()
        assert caught.value.signum == signal.SIGINT

    async def test_what_was_started_last_is_stopped_first(self, tmp_path: Path) -> None:
        events: list[StackEvent] = []
        async with Stack(StackConfig(data=tmp_path, servers=NONE), on_event=events.append) as stack:
            await stack.start(sleeper("redis"))
            await stack.start(sleeper("worker"))
            await stack.start(sleeper("sink"))
        assert [event.process for event in events if event.kind == "stopped"] == ["sink-1", "worker-1", "redis-1"]
        assert not list((tmp_path / "run").glob("*.pid"))

    async def test_a_process_deaf_to_sigterm_is_killed_when_its_grace_is_over(self, tmp_path: Path) -> None:
        async with Stack(StackConfig(data=tmp_path, servers=NONE)) as stack:
            await stack.start(script("trap '' TERM; while :; do sleep 0.1; done", grace=0.3))
            pid = stack.pid("worker")
            await asyncio.sleep(0.2)  # let it set the trap
        assert pid is not None
        assert not alive(pid)


class TestStart:
    async def test_a_process_that_ends_before_it_is_ready_is_quoted_and_nothing_stays(self, tmp_path: Path) -> None:
        async def never() -> bool:
            return False

        async with Stack(StackConfig(data=tmp_path, servers=NONE)) as stack:
            with pytest.raises(StartFailedError, match=r"worker-1 ended with exit status 3 before it was ready(?s:.*)no such setting"):
                await stack.start(sleeper("sink"), script("echo no such setting; exit 3", ready=never))
            assert not list((tmp_path / "run").glob("*.pid"))
            await stack.start(sleeper())  # the name is free

    async def test_a_process_that_is_never_ready_is_given_up(self, tmp_path: Path) -> None:
        async def never() -> bool:
            return False

        async with Stack(StackConfig(data=tmp_path, servers=NONE)) as stack:
            with pytest.raises(StartFailedError, match=r"worker-1 was not ready within 0\.3 s(?s:.*)still thinking"):
                await stack.start(script("echo still thinking; sleep 100", ready=never, ready_timeout=0.3))

    async def test_a_program_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        async def never() -> bool:
            return False

        async with Stack(StackConfig(data=tmp_path, servers=NONE)) as stack:
            with pytest.raises(StartFailedError, match="no-such-program"):
                await stack.start(ProcessSpec(role="worker", argv=("no-such-program",), ready=never))

    async def test_a_second_supervisor_of_the_same_folder_is_refused_in_one_line(self, tmp_path: Path) -> None:
        async with Stack(StackConfig(data=tmp_path, servers=NONE)):
            with pytest.raises(DataFolderInUseError, match=rf"in use by another rflow \(process {os.getpid()}\)") as caught:
                async with Stack(StackConfig(data=tmp_path, servers=NONE)):
                    pass
        assert "\n" not in str(caught.value)
        async with Stack(StackConfig(data=tmp_path, servers=NONE)):
            pass  # free again

    async def test_state_whose_topics_are_gone_is_refused_unless_it_may_be_discarded(self, tmp_path: Path) -> None:
        config = StackConfig(data=tmp_path, servers=BROKER | REDIS, topics=("in",))
        async with Stack(config) as stack:
            with redis.Redis.from_url(stack.redis_url) as client:
                client.set("k", "v")
        with pytest.raises(StackError, match="holds the state of an earlier run"):
            async with Stack(config):
                pass
        async with Stack(StackConfig(data=tmp_path, servers=REDIS)) as stack:  # to look at it is no harm
            with redis.Redis.from_url(stack.redis_url) as client:
                assert client.get("k") == b"v"
        async with Stack(StackConfig(data=tmp_path, servers=BROKER | REDIS, topics=("in",), discard_state=True)) as stack:
            with redis.Redis.from_url(stack.redis_url) as client:
                assert client.get("k") is None

    async def test_other_commands_find_a_running_stack(self, tmp_path: Path) -> None:
        assert running_stack(tmp_path) is None
        async with Stack(StackConfig(data=tmp_path, servers=REDIS, clickhouse_url="http://elsewhere:8123")) as stack:
            found = running_stack(tmp_path)
            assert found is not None
            assert (found.redis_url, found.clickhouse_url, found.brokers) == (stack.redis_url, "http://elsewhere:8123", None)
        assert running_stack(tmp_path) is None


@contextmanager
def supervisor(data: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.stack_main", str(data)]
    # In a session of its own, as a terminal would give it: Ctrl-C goes to this process group alone.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def pids_once_up(process: subprocess.Popen[str], data: Path) -> list[int]:
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        if line == "up\n":
            return [int(path.read_text()) for path in (data / "run").glob("*.pid")]
    raise AssertionError(process.stderr.read())


class TestNothingStaysBehind:
    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_after_ctrl_c(self, tmp_path: Path, signum: signal.Signals) -> None:
        with supervisor(tmp_path) as process:
            pids = pids_once_up(process, tmp_path)
            assert len(pids) == 4
            os.killpg(process.pid, signum)
            assert process.wait(20) == 0
        assert not [pid for pid in pids if alive(pid)]
        assert not list((tmp_path / "run").glob("*.pid"))
        assert running_stack(tmp_path) is None

    def test_after_kill_9_of_the_supervisor(self, tmp_path: Path) -> None:
        with supervisor(tmp_path) as process:
            pids = pids_once_up(process, tmp_path)
            process.kill()
            process.wait(10)
            wait_until(lambda: not [pid for pid in pids if alive(pid)], "the orphans to die", 5.0)
        assert running_stack(tmp_path) is None
        with supervisor(tmp_path) as process:  # stale files are no hindrance
            assert len(pids_once_up(process, tmp_path)) == 4

    def test_a_second_supervisor_ends_with_one_line_and_harms_nothing(self, tmp_path: Path) -> None:
        with supervisor(tmp_path) as first:
            pids = pids_once_up(first, tmp_path)
            with supervisor(tmp_path) as second:
                assert second.wait(20) == 1
                assert second.stderr is not None
                error = second.stderr.read()
            assert error.count("\n") == 1
            assert f"in use by another rflow (process {first.pid})" in error
            assert all(alive(pid) for pid in pids)


@pytest.fixture(autouse=True)
def _quiet_handlers() -> Iterator[None]:
    """Signals are as they were after each test."""
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
