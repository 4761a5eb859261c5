"""Worker processes under test: `python -m deploy worker` on topics and keys of its own, what goes in, and what comes out.

A deployment is one corner of a broker and a Redis. Workers are started in it, killed and started again; what they have left is read
from Redis and, under the subscriber's rule, from the output topics.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from deploy.check import Recomputed, StateReader, recompute
from deploy.settings import Settings, load_settings
from deploy.stack.ports import free_port
from deploy.wiring import ladder_of, validator_of
from schemas.rollup import Rollup
from schemas.subscriber import SubscriberRule
from schemas.topics import load_topics
from schemas.touchpoint import KINDS
from schemas.transition import Transition
from sources.kafka_log import KafkaLog
from sources.producer import Replayed, ReplayPolicy, replay
from sources.slices import SlicePolicy
from streams.ladder import Rules
from streams.meta import Meta
from streams.outbox import version_of
from streams.state import State
from tests.servers import create_topics

ROOT = Path(__file__).parents[1]
PATIENCE_S = 90.0

_transition = msgspec.json.Decoder(Transition).decode
_rollup = msgspec.json.Decoder(Rollup).decode


Written = tuple[str, int, bytes | None, bytes | None, list[tuple[str, bytes]] | None]
"""(topic without prefix, partition, key, value, headers) of a record as a test writes it."""


Sent = tuple[str, int, bytes | None, bytes | None, list[tuple[str, bytes]] | None]
"""(topic, partition, key, value, headers) of a record to be written"""


class Worker:
    """One worker process, or another of rflow's that `module` runs, as the source in `root` has it. Its health is told at `host` and
    `port`; `enter` is what its command line begins with, where it runs in another namespace."""

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        *arguments: str,
        module: tuple[str, ...] = ("deploy", "worker"),
        port: int = 0,
        root: Path = ROOT,
        host: str = "127.0.0.1",
        enter: tuple[str, ...] = (),
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self.log = log
        self.root = root
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RFLOW_")}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*enter, sys.executable, "-m", *module, *arguments],
                cwd=root,
                env={**inherited, **environment, "RFLOW_HTTP_HOST": host, "RFLOW_HTTP_PORT": str(self.port), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def is_frozen(self) -> bool:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].startswith("T")

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a path of the health server; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def shards(self) -> dict[int, dict[str, Any]]:
        """What it says of each shard it holds."""
        status, body = self.get("/healthz")
        if not status:
            return {}
        return {int(number): told for number, told in orjson.loads(body)["detail"]["shards"].items()}

    def running(self) -> set[int]:
        """The shards at work."""
        return {number for number, told in self.shards().items() if told["stage"] == "running"}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = self.get("/metrics")[1].decode().splitlines()
        found = [line for line in lines if line.split("{")[0].split(" ")[0] == name and all(one in line for one in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 12.0) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"waited {seconds:g} s in vain for a worker to end\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:]


@dataclass
class Told:
    """What the output topics say under the subscriber's rule, partition after partition."""

    transitions: list[Transition] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    letters: list[Message] = field(default_factory=list)
    repeats: int = 0

    def by_user(self) -> dict[tuple[str, str], list[Transition]]:
        """Each user's transitions, in order."""
        found: dict[tuple[str, str], list[Transition]] = defaultdict(list)
        for transition in self.transitions:
            found[transition.brand, transition.user_id].append(transition)
        return dict(found)


class Deployment:
    """A corner of a broker and a Redis, and the workers in it; left, it kills those that still run."""

    def __init__(self, folder: Path, bootstrap: str, redis_url: str, topic_prefix: str, key_prefix: str, **given: Any) -> None:
        self.bootstrap = bootstrap
        self.workers: list[Worker] = []
        self.folder = folder
        self.settings: Settings = load_settings(
            kafka_bootstrap=bootstrap,
            redis_url=redis_url,
            topic_prefix=topic_prefix,
            redis_prefix=key_prefix,
            **{"partitions": 4, "group": f"{topic_prefix}rflow", "session_timeout": 6.0, "log_format": "human", **given},
        )
        self.rules = Rules(ladder_of(self.settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.is_running:
                worker.kill()

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.settings.topic_prefix + name

    def create_topics(self) -> Self:
        """Create all topics: on a real Kafka as they are to be, on the in-memory broker by asking for them."""
        if self.settings.topic_ids:
            for name, topic in load_topics().items():
                create_topics(self.bootstrap, [self.topic(name)], self.settings.partitions, topic.config())
        else:
            client = Producer({"bootstrap.servers": self.bootstrap})
            for name in load_topics():
                client.list_topics(self.topic(name), timeout=10)
        return self

    def environment(self, **given: Any) -> dict[str, str]:
        """The deployment's settings, and these, as a process gets them."""
        found = {}
        for name, value in {**self.settings.model_dump(exclude_unset=True), **given}.items():
            plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            found[f"RFLOW_{name.upper()}"] = plain if isinstance(plain, str) else orjson.dumps(plain).decode()
        return found

    def start(self, *arguments: str, **given: Any) -> Worker:
        """A worker with these arguments, and these settings beside the deployment's."""
        worker = Worker(self.environment(**given), self.folder / f"worker-{len(self.workers) + 1}.log", *arguments)
        self.workers.append(worker)
        return worker

    def set_ladder(self, path: Path) -> None:
        """From now on workers start with this ladder, and checks go by it."""
        self.settings = self.settings.model_copy(update={"ladder": str(path)})
        self.rules = Rules(ladder_of(self.settings))

    def replay(self, lines: Iterable[bytes], *, slice_records: int = 2_000) -> Replayed:
        """Write lines to where they belong, with ticks where slices end."""
        return asyncio.run(self._replay(lines, slice_records))

    async def _replay(self, lines: Iterable[bytes], slice_records: int) -> Replayed:
        policy = ReplayPolicy(slices=SlicePolicy(records=slice_records))
        with KafkaLog(self.bootstrap, prefix=self.settings.topic_prefix) as log:
            return await replay(lines, log, validator_of(self.settings), self.settings.partitions, policy=policy)

    def produce(self, records: Iterable[Sent], **options: Any) -> dict[tuple[str, int], int]:
        """Write these records as they are; the end of each log written to. `options` are librdkafka's."""
        ends: dict[tuple[str, int], int] = {}
        own = {"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 2, "message.max.bytes": 8_000_000}
        producer = Producer({**own, **options})

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            assert topic is not None
            assert partition is not None
            assert offset is not None
            ends[topic, partition] = offset + 1

        for topic, partition, key, value, headers in records:
            producer.produce(self.topic(topic), value, key, partition, on_delivery=delivered, headers=list(headers or ()))
            producer.poll(0)
        assert producer.flush(30) == 0
        return ends

    # --- what Redis says ----------------------------------------------------------------------------------------------------------
    def states(self) -> StateReader:
        return StateReader(self.settings)

    def metas(self) -> list[Meta]:
        """Every shard's meta."""
        with closing(self.states()) as states:
            return [states.meta(shard) for shard in range(self.settings.partitions)]

    def users(self) -> dict[tuple[int, str], State | None]:
        """Every user of every roster by shard and key."""
        with closing(self.states()) as states:
            return {(shard, key): state for shard in range(self.settings.partitions) for key, state in states.users(shard)}

    def recompute(self) -> Recomputed:
        """Redis held against the topics."""
        return recompute(self.settings)

    # --- waiting ------------------------------------------------------------------------------------------------------------------
    def until(self, holds: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
        """Wait until something holds while the workers started last live."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline or (self.workers and not any(worker.is_running for worker in self.workers)):
                logs = "\n".join(worker.tail() for worker in self.workers[-2:])
                raise AssertionError(f"waited {seconds:g} s in vain for {what}; shards {self.metas()}\n{logs}")
            time.sleep(0.05)

    def until_applied(self, ends: dict[tuple[str, int], int], seconds: float = PATIENCE_S) -> None:
        """Wait until everything up to these ends is applied, swept, and told on the output topics."""
        self.until(lambda: self.is_applied(ends, self.metas()), f"{sum(ends.values())} records to be applied", seconds)
        versions = [meta.version for meta in self.metas()]
        # What is forwarded meanwhile makes further versions.
        self.until(
            lambda: all(found >= version for found, version in zip(self.published(), versions, strict=True)),
            f"versions {versions} to be published",
            seconds,
        )

    def is_applied(self, ends: dict[tuple[str, int], int], metas: list[Meta]) -> bool:
        """Whether everything up to these ends is applied, and swept."""
        index = {self.topic(kind.topic): i for i, kind in enumerate(KINDS)}
        return all(metas[shard].offsets[index[topic]] >= end - 1 for (topic, shard), end in ends.items()) and all(
            meta.watermark is None or (meta.sweeping is None and (meta.swept_to or 0) >= self.rules.last_turn(meta.watermark))
            for meta in metas
        )

    def published(self) -> list[int]:
        """The last version of each shard that is told whole."""
        last = dict.fromkeys(range(self.settings.partitions), 0)
        for message in self.read("rollups"):
            if version_of(dict(message.headers() or ()), "rollups", message.partition() or 0) is None:
                continue
            rollup = _rollup(message.value() or b"")
            last[rollup.shard] = max(last[rollup.shard], rollup.version if rollup.last else 0)
        return list(last.values())

    # --- what the topics say ------------------------------------------------------------------------------------------------------
    def read(self, name: str) -> Iterator[Message]:
        """A topic from beginning to end, partition after partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            for partition in range(self.settings.partitions):
                place = TopicPartition(self.topic(name), partition)
                low, high = consumer.get_watermark_offsets(place, timeout=10)
                if high <= low:
                    continue
                consumer.assign([TopicPartition(place.topic, partition, low)])
                position, deadline = low, time.monotonic() + 20
                while position < high:
                    assert time.monotonic() < deadline, f"{place.topic} [{partition}] could not be read to offset {high}"
                    # As many as there are: for more it would wait in vain.
                    for message in consumer.consume(min(high - position, 5000), 0.2):
                        error = message.error()
                        if error is None:
                            position = (message.offset() or 0) + 1
                            yield message
                        elif error.code() != KafkaError._PARTITION_EOF:
                            raise KafkaException(error)
        finally:
            consumer.close()

    def told(self) -> Told:
        """All outputs, repeats left out by the subscriber's rule."""
        told = Told()
        rule = SubscriberRule()
        for message in self.read("transitions"):
            transition = _transition(message.value() or b"")
            assert transition.shard == message.partition()
            if rule.is_new(transition.shard, transition.version, transition.index):
                told.transitions.append(transition)
            else:
                told.repeats += 1
        rule = SubscriberRule()
        for message in self.read("rollups"):
            rollup = _rollup(message.value() or b"")
            if rule.is_new(rollup.shard, rollup.version, rollup.index):
                told.rollups.append(rollup)
            else:
                told.repeats += 1
        rule = SubscriberRule()
        for message in self.read("deadletters"):
            shard, version, index = [int(part) for part in headers_of(message)["ce_id"].split(b":")]
            if rule.is_new(shard, version, index):
                told.letters.append(message)
            else:
                told.repeats += 1
        return told


def headers_of(message: Message) -> dict[str, bytes]:
    """The headers of a record by name."""
    found: dict[str, bytes] = {}
    for name, value in dict(message.headers() or ()).items():
        found[name] = value if isinstance(value, bytes) else (value or "").encode()
    return found


def assert_chained(told: Told, first: str) -> None:
    """Every user's transitions lead from one to the next, in time, and every shard's steps follow each other without a gap."""
    for user, chain in told.by_user().items():
        assert [t.seq for t in chain] == list(range(1, len(chain) + 1)), user
        assert [t.from_ for t in chain] == [first, *(t.to for t in chain[:-1])], user
        times = [t.effective_at for t in chain]
        assert times == sorted(times), user
    steps: dict[int, list[int]] = defaultdict(list)
    for rollup in told.rollups:
        if rollup.last:
            steps[rollup.shard].append(rollup.version)
    for shard, versions in steps.items():
        assert versions == list(range(1, len(versions) + 1)), f"shard {shard}"
