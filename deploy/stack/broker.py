"""The in-memory broker: Kafka's protocol on loopback ports, nothing to install, nothing kept. For trying out.

    python -m deploy.stack.broker --ready-file F --partitions N --topic NAME ... --group NAME ...

Data goes to librdkafka's mock cluster (`mock_cluster`), whose broker 1 leads every partition; the named groups are kept by
`coordinator`, which stands before broker 2. When both are up, the address and what was promised are written to the ready file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.stack.coordinator import VERSIONS, Coordinator
from deploy.stack.files import write_whole
from deploy.stack.mock_cluster import MockCluster
from deploy.stack.mock_retention import DEFAULT_BYTES, raise_retention
from deploy.stack.ports import free_port
from deploy.stack.process import ProcessSpec, Restart, python_module
from deploy.stack.ready import file_exists

_LEADER, _COORDINATOR = 1, 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MockBrokerConfig:
    """What the in-memory broker is to be.

    `retain_bytes` is how much of each partition it keeps, in memory; what is older is gone, and a reader that still wanted it
    starts over. `group_delay` is how many seconds the first member of an empty group waits for others: give one where several
    workers start together. Groups that are not named are left to the mock cluster and fit a single member only.
    """

    topics: tuple[str, ...]
    partitions: int
    groups: tuple[str, ...] = ()
    retain_bytes: int = 16 * 1024 * 1024
    group_delay: float = 0.0


@dataclass(frozen=True, slots=True)
class MockBrokerReady:
    """What the ready file says."""

    brokers: str
    retain_bytes: int


def ready_file(data: Path) -> Path:
    """Where the broker of a data folder says that it is up."""
    return data / "run" / "broker.json"


def read_ready(data: Path) -> MockBrokerReady:
    """What the broker said."""
    return MockBrokerReady(**json.loads(ready_file(data).read_text()))


def mock_broker(data: Path, config: MockBrokerConfig) -> ProcessSpec:
    """The process. It is not started again when it dies: what it held is lost, and the state that was made from it goes on elsewhere."""
    ready = ready_file(data)
    ready.unlink(missing_ok=True)
    arguments: list[object] = ["--ready-file", ready, "--partitions", config.partitions]
    arguments += ["--retain-bytes", config.retain_bytes, "--group-delay", config.group_delay]
    arguments += [part for topic in config.topics for part in ("--topic", topic)]
    arguments += [part for group in config.groups for part in ("--group", group)]
    return ProcessSpec(
        role="broker",
        argv=python_module("deploy.stack.broker", *arguments),
        ready=file_exists(ready),
        restart=Restart.NEVER,
        grace=3.0,
        if_lost="The in-memory broker keeps every topic in its own memory, so nothing can go on without it. "
        "Start again with an empty data folder, or use a real Kafka, which survives this.",
    )


def main() -> None:
    """Run the broker until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="deploy.stack.broker", description="in-memory broker, for trying out")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--retain-bytes", type=int, default=DEFAULT_BYTES)
    parser.add_argument("--group-delay", type=float, default=0.0)
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("--group", action="append", default=[])
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = MockBrokerConfig(
        topics=tuple(options.topic),
        partitions=options.partitions,
        groups=tuple(options.group),
        retain_bytes=options.retain_bytes,
        group_delay=options.group_delay,
    )
    asyncio.run(_run(config, options.ready_file))


async def _run(config: MockBrokerConfig, ready: Path) -> None:
    cluster, door = MockCluster(2), free_port()
    brokers, behind = cluster.brokers
    with cluster.awake():
        cluster.set_controller(_LEADER)
        cluster.advertise(_COORDINATOR, "127.0.0.1", door)
        for topic in config.topics:
            cluster.create_topic(topic, config.partitions, _LEADER)
        for api, (lowest, highest) in VERSIONS.items():
            cluster.limit_api(api, lowest, highest)
        for group in config.groups:
            cluster.coordinate(group, _COORDINATOR)
        cluster.initial_rebalance_delay(int(config.group_delay * 1000))
    retain_bytes = _retain(config)

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    serving = asyncio.create_task(Coordinator(behind, config.group_delay).serve(door))
    await asyncio.sleep(0)  # let it listen
    write_whole(ready, json.dumps(asdict(MockBrokerReady(brokers, retain_bytes))))
    _log.info("in-memory broker on %s, %d topics of %d partitions", brokers, len(config.topics), config.partitions)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()  # raises why


def _retain(config: MockBrokerConfig) -> int:
    """Raise what is kept of each partition, if possible; how much is kept."""
    if raise_retention(len(config.topics) * config.partitions, config.retain_bytes):
        return config.retain_bytes
    _log.warning("this librdkafka keeps %d bytes of each partition, not the %d asked for", DEFAULT_BYTES, config.retain_bytes)
    return DEFAULT_BYTES


if __name__ == "__main__":
    main()
