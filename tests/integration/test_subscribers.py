"""Those who copy an example have each transition's effect once: while the subscribers are killed, while the workers are, and wherever a
snapshot was taken meanwhile."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.processes.subscription import snapshot_config
from deploy.stack.kafka import default_cache, java_program
from schemas.ladder_file import load_ladder
from schemas.positions import Position
from schemas.snapshot import Shard, UserLayer, read_snapshot
from schemas.transition import Transition
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.errors import LadderChanged
from tests.servers import wait_until
from tests.workers import ROOT, Deployment, Worker
from warroom.layer_snapshot import LayerSnapshot, SnapshotUnfinished
from warroom.states import States

EXAMPLES = ROOT / "examples"
EVENTS, CHUNKS = 6_000, 12
Layers = dict[tuple[str, str], tuple[str, int]]


class World:
    """A deployment that is fed a day piece by piece, and the subscribers of its transitions."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment = deployment
        self.folder = folder
        lines = list(PromotionDay(SimulatorConfig(load_ladder("5r"), users=900, events=EVENTS, seed=3)).lines())
        self._chunks = iter([lines[i : i + EVENTS // CHUNKS] for i in range(0, len(lines), EVENTS // CHUNKS)])
        self._ends: dict[tuple[str, int], int] = {}

    def worker(self) -> Worker:
        """A worker in a group of its own: it does not have to wait until a killed one is given up."""
        return self.deployment.start(group=f"{self.deployment.settings.group}-{len(self.deployment.workers)}")

    def feed(self, chunks: int) -> None:
        for chunk in itertools.islice(self._chunks, chunks):
            self._ends |= self.deployment.replay(chunk).ends

    def finish(self) -> list[Transition]:
        """Feeds what is left; what the topic says in the end, under the rule."""
        self.feed(CHUNKS)
        self.deployment.until_applied(self._ends)
        return self.deployment.told().transitions

    def snapshot(self, **given: Any) -> list[bytes]:
        lines: list[bytes] = []
        with closing(LayerSnapshot(dataclasses.replace(snapshot_config(self.deployment.settings), **given))) as taking:
            users = taking.write(lines.append)
        assert users == sum(b'"record":"user"' in line for line in lines)
        return lines


class Following:
    """An example as a process, killed and started again, and what it has made."""

    def __init__(self, command: list[str], made: Path) -> None:
        self.made = made
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log().open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            assert self._process.poll() is None, self._log().read_text()
            self._process.kill()
            self._process.wait()
            self._process = None

    def _log(self) -> Path:
        return self.made.with_suffix(".log")

    def rows(self, query: str) -> list[Any]:
        """What it has stored in SQLite; nothing while the tables are not there."""
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self.made, timeout=30)) as database:
            return database.execute(query).fetchall()
        return []

    def lines(self) -> list[str]:
        """What it has written to its file."""
        return self.made.read_text().splitlines() if self.made.exists() else []


def python(world: World, example: str, made: str, option: str, *more: str) -> Following:
    deployment = world.deployment
    where = ["--bootstrap", deployment.bootstrap, "--topic", deployment.topic("transitions")]
    return Following([sys.executable, str(EXAMPLES / example), *where, option, str(world.folder / made), *more], world.folder / made)


def java(world: World) -> Following:
    deployment, made = world.deployment, world.folder / "java.txt"
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
    command = [java_program(), *quick, "-cp", f"{default_cache()}/*", str(EXAMPLES / "Subscriber.java")]
    return Following([*command, deployment.bootstrap, deployment.topic("transitions"), str(made)], made)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("subscribers")
    with Deployment(folder, kafka, redis_url, "subscribers.", "subscribers", clock="event") as deployment:
        yield World(deployment.create_topics(), folder)


def test_each_example_has_each_effect_once_whoever_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = python(world, "subscriber.py", "plain.db", "--database")
    bought = python(world, "helper/just_bought.py", "adverts.db", "--database")
    left = python(world, "helper/left_group.py", "calls.jsonl", "--calls")
    other_language = java(world)
    all_of_them = [plain, bought, left, other_language]
    has_begun = {
        "plain": lambda: plain.rows("SELECT id FROM transitions"),
        "bought": lambda: bought.rows("SELECT user_id FROM adverts"),
        "left": left.made.with_suffix(".positions").exists,
        "java": other_language.lines,
    }
    try:
        worker = world.worker()
        for follower in all_of_them:
            follower.start()
        world.feed(3)
        for name, begun in has_begun.items():
            wait_until(begun, f"{name} to begin", 60)
        halfway = len(plain.rows("SELECT id FROM transitions"))
        for follower in all_of_them:
            follower.kill()
        worker.kill()
        world.worker()
        first = fed_meanwhile(world, monkeypatch)
        early = layers_of(world, first, "early")
        for follower in (*all_of_them, early):
            follower.start()
        all_of_them.append(early)
        late = layers_of(world, fed_meanwhile(world, monkeypatch), "late")
        late.start()
        all_of_them.append(late)
        wait_until(lambda: len(plain.rows("SELECT id FROM transitions")) > halfway, "the plain one to go on", 60)
        for follower in all_of_them:
            follower.kill()
            follower.start()
        told = world.finish()
        assert len(told) > halfway > 0

        ids = sorted(one.id for one in told)
        until(lambda: sorted(row for (row,) in plain.rows("SELECT id FROM transitions")), ids)
        until(lambda: sorted(line for line in other_language.lines() if not line.startswith("positions")), ids)
        until(lambda: sorted(bought.rows("SELECT brand, user_id, stopped, purchases FROM adverts")), adverts(told))
        until(lambda: sorted((call["brand"], call["user_id"], call["left_at"]) for call in map(json.loads, left.lines())), calls(told))
        for follower in (early, late):
            until(partial(standings, follower), ladder_of(told))
    finally:
        for follower in all_of_them:
            with suppress(AssertionError):
                follower.kill()


def standings(follower: Following) -> list[Any]:
    return sorted(follower.rows("SELECT brand, user_id, layer, seq FROM layers WHERE seq > 0"))


def until(read: Any, expected: list[Any]) -> None:
    """Waits until what is read is what is expected, and sees that it stays so."""
    deadline = time.monotonic() + 60
    while (found := read()) != expected and len(found) <= len(expected) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == expected


def fed_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot that is taken while the day goes on: between two pages of each shard's users the shard takes a step or more."""
    users = States.users

    def fed(self: States, shard: int) -> Iterator[Any]:
        version = self.meta(shard).version
        for i, one in enumerate(users(self, shard)):
            yield one
            if i == FEW:
                world.feed(1)
                wait_until(lambda: self.meta(shard).version > version, f"a step of shard {shard}", 60)

    with monkeypatch.context() as patch:
        patch.setattr("warroom.states._PAGE", FEW)
        patch.setattr(States, "users", fed)
        lines = world.snapshot()
    SNAPSHOTS.append(lines)
    path = world.folder / f"snapshot-{len(SNAPSHOTS)}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


FEW = 10
SNAPSHOTS: list[list[bytes]] = []


def layers_of(world: World, snapshot: Path, name: str) -> Following:
    return python(world, "helper/layers.py", f"{name}.db", "--database", "--snapshot", str(snapshot))


def adverts(told: list[Transition]) -> list[tuple[str, str, int, int]]:
    stopped: dict[tuple[str, str], int] = {}
    purchases: Counter[tuple[str, str]] = Counter()
    for one in told:
        user = one.brand, one.user_id
        if one.kind == "advance" and one.to in ("R4", "R5"):
            stopped[user] = 1
            purchases[user] += 1
        elif one.kind == "retract" and one.to not in ("R4", "R5") and user in stopped:
            stopped[user] = 0
    return sorted((*user, flag, purchases[user]) for user, flag in stopped.items())


def calls(told: list[Transition]) -> list[tuple[str, str, str]]:
    found = sorted((one.brand, one.user_id, one.effective_at) for one in told if (one.from_, one.kind) == ("R3", "retract"))
    assert found
    return found


def ladder_of(told: list[Transition]) -> list[tuple[str, str, str, int]]:
    last = {(one.brand, one.user_id): (one.to, one.seq) for one in told}
    return sorted((*user, *standing) for user, standing in last.items())


def test_a_snapshot_is_the_picture_of_one_version_of_each_shard(world: World) -> None:
    """Every user as the transitions up to there have them, and no other: of snapshots taken while the shards went on."""
    told = world.deployment.told().transitions
    for lines in [*SNAPSHOTS, world.snapshot()]:
        layers, positions = picture(lines)
        upto: Layers = {}
        for one in told:
            if one.version < positions[one.shard].version:
                upto[one.brand, one.user_id] = one.to, one.seq
        assert {user: standing for user, standing in layers.items() if standing[1]} == upto
    assert len(layers) == len(world.deployment.users())
    ends = [meta.version + 1 for meta in world.deployment.metas()]
    for lines in SNAPSHOTS:
        assert all(at.version < ends[shard] for shard, at in picture(lines)[1].items()), "there was nothing left to follow"


def picture(lines: list[bytes]) -> tuple[Layers, dict[int, Position]]:
    """Each user's layer and seq, and where to follow from."""
    layers: Layers = {}
    positions = {}
    for record in read_snapshot(lines):
        if isinstance(record, Shard):
            positions[record.shard] = record.position
        elif isinstance(record, UserLayer):
            assert (record.brand, record.user_id) not in layers, "told twice"
            assert (record.since is None) == (record.seq == 0)
            layers[record.brand, record.user_id] = record.layer, record.seq
    return layers, positions


def test_the_command_writes_a_file_that_appears_once_it_is_whole(world: World, tmp_path: Path) -> None:
    worker = Worker(world.deployment.environment(), tmp_path / "log", str(tmp_path / "layers.jsonl"), "--brand", "acme", module=COMMAND)
    assert worker.wait() == 0, worker.tail()
    layers, _ = picture((tmp_path / "layers.jsonl").read_bytes().splitlines())
    assert {brand for brand, _ in layers} == {"acme"}
    assert f"{len(layers):,} users" in worker.tail()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.jsonl", "log"]


COMMAND = ("deploy", "snapshot")


def test_there_is_no_snapshot_of_what_has_not_been_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerSnapshot, "_version", lambda self, shard: 10**6)
    with pytest.raises(SnapshotUnfinished, match=r"shard 0: expected version 1000000 to be published within 0\.2 s"):
        world.snapshot(patience=0.2)


def test_users_of_another_ladder_are_not_guessed_at(world: World) -> None:
    with pytest.raises(LadderChanged, match="expected its users on aipl@1, found them on 5r@"):
        world.snapshot(ladder=load_ladder("aipl"))
