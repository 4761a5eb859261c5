"""The ladder changes: whoever is killed or frozen on the way, every user moves once, subscribers can follow, and the ledger balances."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import redis
import yaml

from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, from_rfc3339
from schemas.transition import TransitionKind
from sinks.config import ClickHouse
from sinks.sink import run
from sources.producer import Replayed
from streams.crash import CrashPoint
from streams.store import ShardKeys
from tests.crash.test_worker_crash import new_deployment, until_gone
from tests.integration.sink_config import config
from tests.servers import wait_until
from tests.workers import Deployment, Told, Worker, assert_chained
from warroom.star import Star

USERS = 26_000
"""So many that each shard's move takes four steps."""
NOW = from_rfc3339("2026-03-02T10:00:00+08:00")
TURN = from_rfc3339("2026-03-01T04:00:00+08:00")
"""The last turn before the first version has taken its last record: every clock stands there or later."""
SHIPPED = Path(__file__).parents[2] / "schemas" / "5r.yaml"

MOVES = {0: ("R2", "R0", "reverse"), 1: None, 2: ("R1", "Seen", "forward"), 3: ("R5", "R4", "reverse")}
"""What the second version does to each quarter of the users: a window is shorter, a layer has another id and place, one is no more."""
KILLS = [
    (CrashPoint.STEP_AFTER_READ, 2),
    (CrashPoint.STEP_BEFORE_EXEC, 1),
    (CrashPoint.STEP_AFTER_EXEC, 2),
    (CrashPoint.TAKEOVER_AFTER_OUTBOX, 3),
    (CrashPoint.STEP_BEFORE_PUBLISH, 1),
    (CrashPoint.PUBLISH_INSIDE_ENTRY, 2),
    (CrashPoint.PUBLISH_ACKNOWLEDGED, 1),
]
"""Places and passings, one after another within one change of the ladder."""


def second_version(folder: Path) -> Path:
    """Likes count for 30 days; who saw something stands above who liked; there is no R5, and a new layer that nobody reaches."""
    ladder = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    r0, r1, r2, r3, r4, _ = ladder["layers"]
    r1["id"], r2["any"][0]["window_days"] = "Seen", 30
    ladder["layers"] = [r0, r2, r1, r3, r4, {"id": "Fan", "name": {"en": "Fan"}, "any": [{"evidence": "order", "count": 50}]}]
    ladder["version"] = 2
    path = folder / "second.yaml"
    path.write_text(yaml.safe_dump(ladder, sort_keys=False), encoding="utf-8")
    return path


def line(n: int, type_: str, at: int, **own: Any) -> bytes:
    event_id = f"{type_}{n}-{own.get('order_id', at)}"
    return orjson.dumps({"event_id": event_id, "type": type_, "brand": "acme", "user_id": f"u{n}", "occurred_at": at, **own})


def before() -> Iterator[bytes]:
    """In order of time; the users' numbers tell what they did."""
    for n in range(0, USERS, 4):
        yield line(n, "like", NOW - 40 * DAY_MS + n)
    for n in range(USERS):
        at = NOW - DAY_MS + n
        if n % 4 == 1:
            yield line(n, "like", at)
        elif n % 4 == 2:
            yield line(n, "ad_exposure", at, channel="douyin")
        elif n % 4 == 3:
            yield line(n, "purchase", at, order_id=f"a{n}", amount=100)
            yield line(n, "purchase", at, order_id=f"b{n}", amount=100)


def after() -> Iterator[bytes]:
    """What has come in before the second version starts: it waits, and is judged by it."""
    for n in range(4_000):
        yield line(n, "ad_exposure", NOW + n)


def standing_on_the_first(deployment: Deployment) -> Replayed:
    """All users on the first version, with records waiting; then the second version is deployed."""
    done = deployment.replay(before())
    worker = deployment.start(group=f"{deployment.settings.group}-first")
    deployment.until_applied(done.ends)
    assert worker.stop() == 0, worker.tail()
    deployment.set_ladder(second_version(deployment.folder))
    return deployment.replay(after())


def start(deployment: Deployment, **given: Any) -> Worker:
    return deployment.start(group=f"{deployment.settings.group}-{len(deployment.workers)}", **given)


def moving(client: Any, deployment: Deployment) -> bool:
    """Whether any shard's users are between the two ladders."""
    return any((client.hget(ShardKeys(deployment.settings.redis_prefix, shard).meta, "moving") or b"null") != b"null" for shard in range(4))


def assert_moved_once(deployment: Deployment, told: Told) -> None:
    """Every user's chain holds, with the one transition that the second version brings; the states are what the topics say."""
    assert_chained(told, "R0")
    found = {user: [t for t in chain if t.kind is TransitionKind.RECOMPUTE] for (_, user), chain in told.by_user().items()}
    assert len(found) == USERS
    for n in range(USERS):
        expected = MOVES[n % 4]
        assert [(t.from_, t.to, t.direction) for t in found[f"u{n}"]] == ([expected] if expected else []), n
    for chain in found.values():
        for t in chain:
            assert (t.ladder, t.cause.event_id, t.cause.type, t.late, t.occurred_at) == ("5r@2", None, None, False, t.effective_at)
            assert from_rfc3339(t.effective_at) >= TURN
    _assert_records_waited(told)
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert (recomputed.missing, recomputed.unproven) == (0, 0)
    for meta in deployment.metas():
        assert (meta.ladder, meta.moving, meta.partial) == ("5r@2", None, {})
        assert meta.layers == ["R0", "R2", "Seen", "R3", "R4", "Fan"]


def _assert_records_waited(told: Told) -> None:
    """No step under the second version has taken a record before the last transition that it brought."""
    through: Counter[int] = Counter()
    for t in told.transitions:
        if t.kind is TransitionKind.RECOMPUTE:
            through[t.shard] = max(through[t.shard], t.version)
    for rollup in told.rollups:
        if rollup.applied:
            assert rollup.ladder == ("5r@2" if rollup.version > through[rollup.shard] else "5r@1")


@contextmanager
def stored(deployment: Deployment, url: str, database: str) -> Iterator[Star]:
    """What ClickHouse says once a sink has stored everything."""
    settings, ladder, stop = ClickHouse(url=url, database=database), load_ladder(deployment.settings.ladder), threading.Event()
    sink = threading.Thread(target=run, args=(config(deployment.bootstrap, deployment.settings.topic_prefix, url, database), ladder, stop))
    versions = {shard: meta.version for shard, meta in enumerate(deployment.metas())}
    sink.start()
    try:
        wait_until(lambda: _versions(settings) == versions, "the sink", 60)
    finally:
        stop.set()
        sink.join()
    with closing(Star(settings)) as star:
        yield star


def _versions(settings: ClickHouse) -> dict[int, int]:
    try:
        with closing(Star(settings)) as star:
            return {shard: row.version for shard, row in star.stored().items()}
    except Exception:
        return {}


def test_killed_again_and_again_on_the_way_every_user_moves_once(
    tmp_path: Path, mock_broker: str, redis_url: str, clickhouse_url: str, database: str
) -> None:
    with new_deployment(tmp_path, mock_broker, redis_url) as deployment, closing(redis.Redis.from_url(redis_url)) as client:
        done = standing_on_the_first(deployment)
        for point, nth in KILLS:
            until_gone(deployment, point, nth)
        assert moving(client, deployment), "killed too late"
        worker = start(deployment)
        deployment.until_applied(done.ends)
        assert worker.metric("rflow_recomputed_users_total") > 0
        assert worker.stop() == 0, worker.tail()
        told = deployment.told()
        assert_moved_once(deployment, told)
        with stored(deployment, clickhouse_url, database) as star:
            _assert_figures(star, deployment, told)


def _assert_figures(star: Star, deployment: Deployment, told: Told) -> None:
    """The ledger balances and closes with what Redis counts, under the new ladder's names."""
    assert star.ledger_balances() == []
    in_redis: Counter[str] = Counter()
    for meta in deployment.metas():
        in_redis.update(dict(zip(meta.layers, meta.census["acme"], strict=True)))
    assert star.census("acme").layers == in_redis
    assert in_redis["Seen"] > USERS / 4
    end = NOW + DAY_MS
    day = end - end % 60_000
    lines = star.ledger("acme", day - 60 * DAY_MS, day)
    last = {line.layer: line.closing for line in lines if line.minute == lines[-1].minute}
    assert {layer: n for layer, n in last.items() if n} == {layer: n for layer, n in in_redis.items() if n}
    assert all(line.opening + line.users_in - line.users_out == line.closing for line in lines)
    scaling = {row.layer: row.users for row in star.scaling("acme", day - 60 * DAY_MS, day)}
    assert {layer: n for layer, n in scaling.items() if n} == {layer: n for layer, n in in_redis.items() if n}
    assert list(scaling)[:6] == ["R0", "R2", "Seen", "R3", "R4", "Fan"]
    flows = Counter((t.from_, t.to, t.direction) for t in told.transitions)
    activating = {(row.from_layer, row.to_layer, row.direction): row.transitions for row in star.activating("acme", day - 60 * DAY_MS, day)}
    assert {flow: n for flow, n in activating.items() if n} == dict(flows)


def test_an_owner_frozen_on_the_way_is_overtaken_and_moves_nobody_twice(tmp_path: Path, mock_broker: str, redis_url: str) -> None:
    with new_deployment(tmp_path, mock_broker, redis_url) as deployment, closing(redis.Redis.from_url(redis_url)) as client:
        done = standing_on_the_first(deployment)
        frozen = start(deployment)
        deadline = time.monotonic() + 60
        while not moving(client, deployment):
            assert time.monotonic() < deadline, frozen.tail()
        # Nothing more is written until the worker stands still, with a step under way.
        client.client_pause(20_000, all=False)
        assert moving(client, deployment), "noticed too late"
        frozen.process.send_signal(signal.SIGSTOP)
        client.client_unpause()
        other = start(deployment)
        deployment.until_applied(done.ends)
        frozen.process.send_signal(signal.SIGCONT)
        deployment.until(lambda: frozen.metric("rflow_step_conflicts_total"), "the frozen one to find out", 30)
        deployment.until_applied(deployment.replay(line(n, "share", NOW + 100_000 + n) for n in range(100)).ends)
        assert [worker.stop() for worker in (frozen, other)] == [0, 0], frozen.tail()
        assert_moved_once(deployment, deployment.told())
