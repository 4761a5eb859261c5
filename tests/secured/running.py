"""All of rflow's processes in a secured deployment, and what is brought in there and read back."""

from __future__ import annotations

import asyncio
import urllib.request
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import redis

from deploy.check import StateReader
from deploy.inputs import InputReader
from deploy.progress import Progress
from deploy.security.render import Names
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.stack.ports import free_port
from deploy.wiring import validator_of
from schemas.ladder_file import load_ladder
from schemas.tokens import hash_token
from schemas.touchpoint import KINDS, Touchpoint
from sources.kafka_log import KafkaLog
from sources.producer import replay
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from streams.meta import Meta
from tests.integration.collecting import accepted
from tests.secured.world import World
from tests.servers import wait_until
from tests.workers import Worker

PATIENCE_S = 400.0
"""Every connection costs a handshake and a login: on a busy machine they have been seen to take many times as long as those without."""
NAMES = Names(topic_prefix="secured.", group="secured", redis_prefix="secured", database="secured", redis=(7, 0))
CLUSTERED = Names(
    user="clustered-",
    topic_prefix="clustered.",
    group="clustered",
    redis_prefix="clustered",
    database="clustered",
    redis=(7, 0),
    cluster=True,
)
GIVEN: dict[str, Any] = {"partitions": 2, "clock": "event", "intake": "strict", "sink_linger": 0.2}
DAY = SimulatorConfig(load_ladder("5r"), events=4_000, users=500, seed=11)
LINES = list(PromotionDay(DAY).lines())
TOKEN = "rflow_of-the-stores"
SOURCES = f"""
sources:
  - {{source: stores, brands: [{", ".join(DAY.brands)}], tokens: ["{hash_token(TOKEN)}"], rate: 100000, burst: 100000}}
"""


@dataclass
class Running:
    """The processes, each with a user of its own, and where the war room and the collector are."""

    of: dict[Process, Worker]
    warroom: str
    collector: str

    def until_ready(self) -> None:
        for process, one in self.of.items():
            assert one.is_running, one.tail()
            wait_until(lambda one=one: one.get("/readyz")[0] == 200, f"{process} to be ready", PATIENCE_S)  # type: ignore[misc]

    def census(self) -> dict[str, int]:
        """Users per layer of all brands, as the war room shows them."""
        total = Counter[str]()
        for brand in fetched(f"{self.warroom}/brands")["brands"]:
            total.update(fetched(f"{self.warroom}/brands/{quote(brand)}/census")["layers"])
        return dict(total)

    def collect(self, lines: list[bytes]) -> set[str]:
        """Posts lines; the ids of those that the collector says are in Kafka."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        return accepted(httpx.post(self.collector, content=b"\n".join(lines), headers=headers, timeout=60, trust_env=False))

    def told(self) -> list[str]:
        """The ids of transitions that the subscriber has written, in its order."""
        lines = self.of[Process.SUBSCRIBER].log.read_bytes().splitlines()
        return [one["id"] for one in map(orjson.loads, lines) if "seq" in one]


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return orjson.loads(answer.read())


def started(world: World) -> Running:
    """All that run for ever, none of them waited for."""
    port = free_port()
    more: dict[Process, dict[str, Any]] = {Process.WARROOM: {"warroom_port": port}}
    names = (Process.WORKER, Process.SINK, Process.WARROOM, Process.ALERTS)
    of = {one: world.start(one, **GIVEN, **more.get(one, {})) for one in names}
    sources, collects = world.folder / "sources.yaml", free_port()
    sources.write_text(SOURCES)
    of[Process.COLLECTOR] = world.start(Process.COLLECTOR, **GIVEN, collect_port=collects, collect_sources=str(sources))
    of[Process.SUBSCRIBER] = world.start(Process.SUBSCRIBER, "subscribe", "--start", "beginning", **GIVEN)
    return Running(of, f"http://127.0.0.1:{port}/api/v1", f"http://127.0.0.1:{collects}/v1/touchpoints")


def bring_in(settings: Settings, lines: list[bytes]) -> None:
    """Further lines, until they are stored."""

    async def run() -> None:
        with closing(Progress(settings)) as progress:
            await progress.wait(await written(settings, lines))
            await progress.settled()

    asyncio.run(run())


async def written(settings: Settings, lines: list[bytes]) -> dict[tuple[str, int], int]:
    """Writes lines; the ends of the logs."""
    with KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=settings.kafka_options()) as log:
        return (await replay(lines, log, validator_of(settings), settings.partitions)).ends


def applied(settings: Settings) -> Counter[str]:
    """The event ids of all touchpoints that workers have taken, by how often they came."""
    found = Counter[str]()
    with (
        closing(InputReader(settings.kafka_client(), settings.topic_prefix, validator_of(settings))) as reader,
        closing(StateReader(settings)) as states,
    ):
        for shard in range(settings.partitions):
            items = [item for _, item, _ in reader.records(shard, states.meta(shard).offsets, lambda _: None)]
            found.update(item.event_id for item in items if isinstance(item, Touchpoint))
    return found


def metas(settings: Settings) -> list[Meta]:
    """Every shard's meta."""
    with closing(StateReader(settings)) as states:
        return [states.meta(shard) for shard in range(settings.partitions)]


def versions(settings: Settings) -> list[int]:
    """The last version of each shard."""
    return [meta.version for meta in metas(settings)]


def is_applied(settings: Settings, ends: dict[tuple[str, int], int]) -> bool:
    """Whether workers have taken all up to the ends of the logs."""
    index, found = {settings.topic_prefix + kind.topic: place for place, kind in enumerate(KINDS)}, metas(settings)
    return all(found[shard].offsets[index[topic]] >= end - 1 for (topic, shard), end in ends.items())


def cluster_state(door: redis.Redis) -> str:
    """What a node of a cluster says of it."""
    told: Any = door.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]
    return "ok" if b"cluster_state:ok" in told else "not yet"
