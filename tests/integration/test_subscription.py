"""rflow subscribe, as a process, against a receiver that fails in every way and while it is killed: each user's transitions in order, each
at least once under one id, those that cannot be told among the dead letters, none lost."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.cli.common import CommandFailed
from deploy.cli.subscribing import subscribe
from schemas.subscriber import decode_transition
from sinks.subscription.webhook import Answer, Caller, Fate
from tests.integration.receiver import Receiver
from tests.integration.transition_log import TEMPLATE, Log
from tests.servers import wait_until
from tests.workers import ROOT, Worker

SECRET = b"a secret of some length"
FILE = """
subscription: crm
start: beginning
positions: crm.positions
webhook:
  url: http://127.0.0.1:{port}/hook
  secret_file: crm.secret
  dead_letters: crm.dead.jsonl
  timeout: 0.5
  in_flight: 16
  attempts: 3
  backoff_first: 0.02
  backoff_most: 0.2
"""
USERS = range(40)
NEVER, ALWAYS_500 = "u7", "u11"


def flaky(told: dict[str, Any], times: int) -> int:
    """Of the first attempts every seventh fails in one way or another; two users are never taken."""
    if told["user_id"] == NEVER:
        return 400
    if told["user_id"] == ALWAYS_500:
        return 500
    if times == 1:
        return {0: 503, 7: 0, 14: 429, 21: -1}.get((told["index"] + 3 * told["version"]) % 28, 200)
    return 200


@pytest.fixture
def log(kafka: str, topic_prefix: str) -> Log:
    return Log(kafka, f"{topic_prefix}transitions")


Start = Callable[..., Worker]


@pytest.fixture
def start(log: Log, tmp_path: Path) -> Iterator[Start]:
    """Starts `rflow subscribe` with these arguments; what still runs in the end is killed."""
    environment = {
        "RFLOW_KAFKA_BOOTSTRAP": str(log.kafka["bootstrap.servers"]),
        "RFLOW_TOPIC_PREFIX": log.topic.removesuffix("transitions"),
        "RFLOW_LOG_FORMAT": "json",
    }
    started: list[Worker] = []

    def start(*arguments: str) -> Worker:
        started.append(Worker(environment, tmp_path / "log", *arguments, module=("deploy", "subscribe")))
        return started[-1]

    yield start
    for one in started:
        if one.is_running:
            one.kill()


def test_each_transition_is_told_in_its_users_order_whatever_fails_and_whoever_is_killed(log: Log, start: Start, tmp_path: Path) -> None:
    (tmp_path / "crm.secret").write_bytes(SECRET + b"\n")
    with Receiver(SECRET, flaky) as receiver:
        (tmp_path / "crm.yaml").write_text(FILE.format(port=receiver.port))
        told = log.tell_users(USERS, range(1, 11))
        first = start(str(tmp_path / "crm.yaml"))
        wait_until(lambda: len(receiver.taken) > 150, "a part of it to be told", 60)
        first.kill()
        second = start(str(tmp_path / "crm.yaml"))
        wait_until(lambda: delivered(receiver) >= 38 * 10, "all of it to be told", 180)

        # The receiver goes away: nobody is given up for that, and what waits is told when it is back.
        receiver.close()
        told += log.tell_users(USERS, range(11, 16))
        wait_until(lambda: second.metric("rflow_subscription_paused", subscription="crm") == 1, "the breaker to open", 60)
        dead = len(letters(tmp_path))
        assert second.metric("rflow_subscription_waiting", subscription="crm") > 0
        receiver.open()
        wait_until(lambda: delivered(receiver) >= 38 * 15, "the rest to be told", 180)
        # One that fails while nothing else is told may be the receiver's fault: it waits until others are taken.
        last = 15
        until = time.monotonic() + 60
        while len({one["transition"]["id"] for one in letters(tmp_path)}) < 2 * 15:
            assert time.monotonic() < until, second.tail()
            last += 1
            told += log.tell_users(range(1), range(last, last + 1))
            time.sleep(0.3)
        wait_until(lambda: delivered(receiver) == 38 * 15 + last - 15, "user 0", 180)
        assert second.metric("rflow_subscription_paused", subscription="crm") == 0
        assert second.metric("rflow_subscription_dead_letters_total", subscription="crm") >= len(letters(tmp_path)) - dead
        wait_until(lambda: second.metric("rflow_subscription_waiting", subscription="crm") == 0, "nothing to wait", 30)
        assert second.stop() == 0, second.tail()

        third = start(str(tmp_path / "crm.yaml"))
        wait_until(lambda: third.get("/readyz")[0] == 200, "a third run to read", 60)
        before = len(receiver.taken)
        told += log.tell_users(range(1), range(last + 1, last + 2))
        wait_until(lambda: len(receiver.taken) > before, "what came since", 30)
        assert third.stop() == 0, third.tail()
        assert receiver.taken[before:] == [(f"crm:0:{last + 1}:0", "u0", last + 1)], (
            "nothing of before a second time, after an end in peace"
        )

    assert receiver.faults == []
    assert receiver.same_user == 1
    assert receiver.concurrent > 4
    taken = {id_.removeprefix("crm:") for id_, _, _ in receiver.taken}
    given_up = {one["transition"]["id"]: one for one in letters(tmp_path)}
    assert taken | set(given_up) == set(told)
    assert {one["transition"]["user_id"] for one in given_up.values()} == {NEVER, ALWAYS_500}
    whys = {user: {one["why"][:10] for one in given_up.values() if one["transition"]["user_id"] == user} for user in (NEVER, ALWAYS_500)}
    assert whys[NEVER] == {"status 400"}
    assert "status 500" in whys[ALWAYS_500]  # where the receiver went away the last failure is a connection cut
    assert all(one["requests"] >= 3 for one in given_up.values() if one["transition"]["user_id"] == ALWAYS_500)
    for user, seqs in first_told(receiver).items():
        assert seqs == sorted(seqs), user


def delivered(receiver: Receiver) -> int:
    return len({id_ for id_, _, _ in receiver.taken})


def first_told(receiver: Receiver) -> dict[str, list[int]]:
    """Each user's transitions, repeats dropped by their id as a receiver would."""
    seen: set[str] = set()
    found: dict[str, list[int]] = defaultdict(list)
    for id_, user, seq in receiver.taken:
        if id_ not in seen:
            seen.add(id_)
            found[user].append(seq)
    return found


def letters(folder: Path) -> list[dict[str, Any]]:
    path = folder / "crm.dead.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_requests_that_were_not_answered_leave_their_connections_to_others() -> None:
    faults, draw = True, random.Random(1)
    one = decode_transition(msgspec.json.encode(TEMPLATE))
    turns = asyncio.Semaphore(8)
    with Receiver(SECRET, lambda told, times: draw.choice([-1, -1, 0, 200, 503]) if faults else 200) as receiver:
        caller = Caller(f"http://127.0.0.1:{receiver.port}/", SECRET, subscription="crm", timeout=0.2, connections=8)

        async def post() -> Answer:
            async with turns:
                return await caller.post(one)

        try:
            fates = Counter(answer.fate for answer in await asyncio.gather(*(post() for _ in range(150))))
            assert fates[Fate.FAILED] > fates[Fate.TAKEN] > 0
            faults = False
            answers = await asyncio.gather(*(post() for _ in range(50)))
        finally:
            await caller.close()
    assert Counter(answer.fate for answer in answers)[Fate.TAKEN] > 40, answers


def test_as_lines_it_tells_what_is_wanted_and_nothing_else(log: Log, start: Start) -> None:
    log.tell(0, 1, 2, 4, 5)
    reading = start("--start", "beginning", "--to", "R4", "--limit", "2")
    assert reading.wait() == 0, reading.tail()
    told = [json.loads(line) for line in reading.tail().splitlines()]
    assert [(one["id"], one["to"]) for one in told] == [("0:2:1", "R4"), ("0:5:1", "R4")]


def test_a_mistake_in_the_file_ends_it_at_once_with_its_line(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("subscription: own\n")
    command = [sys.executable, "-m", "deploy", "subscribe", str(own)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"{own}:1: expected either `webhook` or `stdout: true`, found neither" in ended.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": "noon"}, "--start: expected beginning, end, or an RFC 3339 time"),
        ({"file": Path("own.yaml"), "to": ["R4"]}, "expected either own.yaml or options that say what is wanted, found both"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandFailed, match=message):
        subscribe(**{"file": None, "start": "end", **given})
