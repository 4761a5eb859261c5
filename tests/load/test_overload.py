"""Midnight: 56 times the traffic within a second, a good part of it junk. Nobody leaves the group, the lag drains, no figure is wrong."""

from __future__ import annotations

import random
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from bench.load import Event, Load
from deploy.check import census_of
from deploy.wiring import clickhouse_of, ladder_of
from tests.load.sizes import RUSH, RUSH_SENT, SIZES
from tests.load.world import PARTITIONS, Outpour, paced, peak_mb, say, touchpoint
from tests.servers import wait_until
from tests.workers import Deployment, Worker
from warroom.star import Star

USERS = 20_000
BOTS = 4
BOTS_SHARE = 0.3
WORKER_MB = 400
SECOND_MS = 1_000


def traffic() -> Iterator[Event]:
    """Touchpoints of now: of people, and of a few that never stop."""
    load, draw = Load(9, USERS, PARTITIONS), random.Random(9)
    while True:
        at = time.time_ns() // 1_000_000
        if draw.random() < BOTS_SHARE:
            load.number += 1
            yield touchpoint(load.number - 1, "like", f"bot{draw.randrange(BOTS)}", at)
        else:
            yield load.event(at)


class Watch:
    """Asks the workers twice a second what they hold; `seen` has every answer, None for none within five seconds."""

    def __init__(self, workers: list[Worker]) -> None:
        self.seen: Counter[tuple[frozenset[int] | None, ...]] = Counter()
        self._workers = workers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            self.seen[tuple(self._held(worker) for worker in self._workers)] += 1

    @staticmethod
    def _held(worker: Worker) -> frozenset[int] | None:
        held = worker.shards()
        return frozenset(number for number, told in held.items() if told["stage"] == "running") if held else None


@pytest.fixture
def deployment(
    tmp_path: Path, kafka: str, redis_db_url: str, topic_prefix: str, key_prefix: str, clickhouse_url: str, database: str
) -> Iterator[Deployment]:
    given = {"clickhouse_url": clickhouse_url, "clickhouse_database": database}
    with Deployment(tmp_path, kafka, redis_db_url, topic_prefix, key_prefix, **given) as made:
        yield made.create_topics()


def times_taken(workers: list[Worker]) -> list[int]:
    """How often each worker has been given shards."""
    return [worker.log.read_text(errors="replace").count("shards taken") for worker in workers]


def members(deployment: Deployment) -> set[str]:
    """The group's members by the names that the broker gave them when they joined."""
    group = deployment.settings.group
    admin = AdminClient({"bootstrap.servers": deployment.bootstrap})
    return {member.member_id for member in admin.describe_consumer_groups([group], request_timeout=30)[group].result().members}


def rates(arrivals: list[int], calm: int) -> tuple[float, float]:
    """Records a second by the broker's clock: of the first `calm` ones, and the most of a second that began within one after them."""
    base, rush = arrivals[:calm], arrivals[calm:]
    begins = rush[: bisect_right(rush, base[-1] + SECOND_MS)]
    most = max((bisect_left(rush, at + SECOND_MS) - i for i, at in enumerate(begins)), default=0)
    return (calm - 1) * SECOND_MS / (base[-1] - base[0]), most


def test_a_rush_at_midnight_moves_no_shard_and_falsifies_no_figure(deployment: Deployment) -> None:
    workers = [deployment.start(), deployment.start()]
    deployment.until(lambda: [len(worker.running()) for worker in workers] == [2, 2], "two workers to share the shards")
    sink = Worker(deployment.environment(), deployment.folder / "sink.log", module=("deploy", "sink"))
    deployment.workers.append(sink)
    deployment.until(lambda: sink.get("/readyz")[0] == 200, "the sink to be ready")
    before, held = times_taken(workers), tuple(frozenset(worker.running()) for worker in workers)
    joined = members(deployment)
    assert len(joined) == 2
    outpour, events = Outpour(deployment), traffic()

    with Watch(workers) as watch:
        calm = paced(events, outpour, SIZES.base_rate, SIZES.base_seconds)
        sent = calm + paced(events, outpour, SIZES.base_rate * RUSH_SENT, SIZES.rush_seconds)
        outpour.flush()
        behind = time.monotonic()
        deployment.until_applied(outpour.ends(), SIZES.patience)
        drained = time.monotonic() - behind
    base, rush = rates(outpour.arrivals(), calm)
    say(
        f"{base:.0f}/s, within a second {rush:,.0f}/s, {rush / base:.0f} times as many: all applied and told {drained:.1f} s after "
        f"the last, workers at most {max(peak_mb(worker.process.pid) for worker in workers):.0f} MB, {watch.seen.total()} looks"
    )
    assert rush >= RUSH * base, "too little was sent to say anything"

    # Nobody has left the group, and nobody was silent: the generation is the one of before.
    assert set(watch.seen) == {held}
    assert times_taken(workers) == before
    assert members(deployment) == joined
    assert all(peak_mb(worker.process.pid) < WORKER_MB for worker in workers)

    # The figures are those of the topics.
    recomputed = deployment.recompute()
    assert (recomputed.differences, recomputed.missing, recomputed.events) == ([], 0, sent)
    assert recomputed.junk["douyin"] > 0
    versions = {shard: meta.version for shard, meta in enumerate(deployment.metas())}
    with Star(clickhouse_of(deployment.settings)) as star, closing(deployment.states()) as states:
        wait_until(lambda: {n: stored.version for n, stored in star.stored().items()} == versions, "all to be stored", SIZES.patience)
        steps, orders = star.steps(), star.orders()
        assert steps.applied + steps.duplicates + steps.junk == sent
        assert {row.channel: row.junk for row in star.junk()} == recomputed.junk
        assert (orders.orders, orders.gmv, orders.refunds) == (recomputed.purchases, recomputed.gmv, recomputed.refunds)
        assert star.ledger_balances() == []
        assert census_of(states, deployment.settings, ladder_of(deployment.settings))["acme"] == star.census("acme").layers
    for process in (*workers, sink):
        assert process.stop() == 0, process.tail()
