"""A day on nine hosts, of which one after the other is cut off: `python -m tests.network.day FOLDER`, inside `tests.network.hosts.inside`.

Everything is as in production: three copies of every record, users over a Redis Cluster, two workers, a sink. What comes of it has to add
up as if the network had held. What was seen is printed as JSON; exit status 1 if something is wrong.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import RedisError

from deploy.topics import create_topics
from deploy.wiring import clickhouse_of
from tests.chaos.figures import faults_of, gaps
from tests.chaos.inputs import Feeder, strict_input
from tests.chaos.trial import Done
from tests.ended import Ended
from tests.network.hosts import Host, Hosts
from tests.network.servers import NODE_TIMEOUT_S, Running
from tests.servers import master_of, wait_until
from tests.workers import Deployment, Worker, assert_chained

PARTITIONS = 4
SESSION_TIMEOUT_S = 6.0
_PATIENCE_S = 90.0
_DOUBTED = "expected an offset above"


class Day:
    """The deployment while hosts are cut off. `told`: how long figures took to move again, in seconds, by what was cut off."""

    def __init__(self, deployment: Deployment, start: Callable[[str], Worker]) -> None:
        self.told: dict[str, float] = {}
        self._deployment = deployment
        self._start = start
        self._workers = {name: start(name) for name in ("worker1", "worker2")}
        self._sink = start("sink")

    def until_whole(self) -> None:
        """Until both workers hold shards, all of them between them, and the sink is up to date."""

        def whole() -> bool:
            held = [worker.running() for worker in self._workers.values()]
            return all(held) and set().union(*held) == set(range(PARTITIONS)) and self._sink.get("/readyz")[0] == 200

        self._until(whole, "everybody to be at work")

    @contextmanager
    def without(self, *hosts: Host, seconds: float = 0.0) -> Iterator[None]:
        """These hosts are cut off, for so many seconds at least; afterwards all figures must move again."""
        for host in hosts:
            host.cut_off()
        began = time.monotonic()
        yield
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        for host in hosts:
            host.connect()
        healed = time.monotonic()
        self.until_moved(range(PARTITIONS))
        self.told[" and ".join(host.name for host in hosts)] = round(time.monotonic() - healed, 1)

    def until_moved(self, shards: Iterable[int]) -> None:
        """Until these shards have taken steps."""
        shards = list(shards)
        before: dict[int, int] = {}

        def moved() -> bool:
            with suppress(RedisError), closing(self._deployment.states()) as states:  # of a cluster that has not healed yet
                now = {shard: states.meta(shard).version for shard in shards}
                before.update(before or now)
                return all(now[shard] > before[shard] for shard in shards)
            return False

        self._until(moved, f"shards {shards} to move")

    def until_held_by(self, name: str) -> None:
        """Until one worker has all shards."""
        self._until(lambda: self._workers[name].running() == set(range(PARTITIONS)), f"{name} to have all shards")

    def stop(self) -> None:
        """Everybody ends in order."""
        for process in (*self._workers.values(), self._sink):
            assert process.stop(20) == 0, process.tail()

    def _until(self, holds: Callable[[], object], what: str) -> None:
        def held() -> object:
            time.sleep(0.1)
            for name, worker in self._workers.items():
                # Of what it sent before the cut the broker may not say where it lies; then it ends, and whoever keeps it starts it again.
                if not worker.is_running and _DOUBTED in worker.tail():
                    self._workers[name] = self._start(name)
            ended = [worker for worker in (*self._workers.values(), self._sink) if not worker.is_running]
            assert not ended, f"{ended[0].log.stem} ended while waiting for {what}: {ended[0].tail()}"
            return holds()

        wait_until(held, what, _PATIENCE_S)


def run(folder: Path, hosts: Hosts) -> dict[str, Any]:
    """The whole day. Raises AssertionError where something does not add up."""
    brokers = [hosts.add(f"broker{n}", 10 + n) for n in (1, 2, 3)]
    nodes = [hosts.add(f"redis{n}", 20 + n) for n in (1, 2, 3)]
    homes = {name: hosts.add(name, number) for name, number in (("worker1", 31), ("worker2", 32), ("sink", 41))}
    store = hosts.add("clickhouse", 42)
    running = Running(folder)
    try:
        clickhouse = running.clickhouse(store)
        redis_url = running.redis_cluster(nodes)
        bootstrap = running.kafka(brokers)
        given = {"clickhouse_url": clickhouse, "clickhouse_database": "default", "redis_cluster": True, "intake": "strict"}
        deployment = Deployment(folder, bootstrap, redis_url, "", "net", partitions=PARTITIONS, session_timeout=SESSION_TIMEOUT_S, **given)
        create_topics(deployment.settings.kafka_client(), "", PARTITIONS, len(brokers))
        with deployment:
            return _through(deployment, homes, brokers, nodes, store)
    finally:
        running.stop()


def _through(deployment: Deployment, homes: dict[str, Host], brokers: list[Host], nodes: list[Host], store: Host) -> dict[str, Any]:
    def start(name: str) -> Worker:
        host = homes[name]
        worker = Worker(
            deployment.environment(),
            deployment.folder / f"{name}-{len(deployment.workers)}.log",
            module=("deploy", name.rstrip("12")),
            host=host.address,
            enter=host.enter,
        )
        deployment.workers.append(worker)
        return worker

    day = Day(deployment, start)
    given = strict_input(0, PARTITIONS)
    feeder = Feeder(deployment.bootstrap, "", given, PARTITIONS)
    try:
        day.until_whole()
        feeder.start()
        # Each of both believes for a while that it owns the shards of the first; the first cannot say what it has done meanwhile.
        with day.without(homes["worker1"]):
            day.until_held_by("worker2")
        day.until_whole()
        # The other two elect leaders in its place.
        with day.without(brokers[0], seconds=3.0):
            day.until_moved(range(PARTITIONS))
        # The users of one master wait for it, and only they.
        with day.without(nodes[1], seconds=2 * NODE_TIMEOUT_S):
            time.sleep(1.5 * NODE_TIMEOUT_S)
            day.until_moved(shard for shard in range(PARTITIONS) if master_of(str(shard), len(nodes)) != 1)
        with day.without(store, seconds=4.0):
            day.until_moved(range(PARTITIONS))
        day.until_whole()
        feeder.finish()
        wait_until(Done(deployment), "all records to be applied and stored", _PATIENCE_S)
    finally:
        feeder.stop()
    day.stop()
    assert_chained(Ended.of(deployment).told, "R0")
    wrong = [*faults_of(deployment, given), *gaps(clickhouse_of(deployment.settings))]
    assert wrong == [], wrong[:5]
    return {"records": given.events, "moved_again_after_s": day.told}


if __name__ == "__main__":
    with Hosts() as made:
        print(orjson.dumps(run(Path(sys.argv[1]), made)).decode())
