"""Three brokers, a Redis Cluster of three masters and ClickHouse, each on a host of its own."""

from __future__ import annotations

import base64
import subprocess
import sys
import uuid
from pathlib import Path

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.stack.kafka import _ENVIRONMENT, _PROPERTIES, _java, default_cache, kafka_jars
from deploy.stack.redis import CONFIG, redis_program
from tests.network.hosts import Host
from tests.servers import join_cluster, wait_until
from tests.workers import ROOT

KAFKA, CONTROLLER, REDIS, BUS, CLICKHOUSE = 9092, 9093, 6379, 16379, 8123
NODE_TIMEOUT_S = 3.0
"""After which a Redis master counts as failed."""


class Running:
    """Servers that were started; `stop` ends them, the last first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def stop(self) -> None:
        """Kills all."""
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            process.wait()

    def kafka(self, hosts: list[Host]) -> str:
        """A broker on each host, all of them controllers, too; their bootstrap address. Records are on two brokers before they count."""
        jars = kafka_jars(default_cache())
        voters = ",".join(f"{number}@{host.address}:{CONTROLLER}" for number, host in enumerate(hosts, 1))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for number, host in enumerate(hosts, 1):
            folder = self._folder(host)
            own = {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://{host.address}:{KAFKA},CONTROLLER://{host.address}:{CONTROLLER}",
                "advertised.listeners": f"PLAINTEXT://{host.address}:{KAFKA}",
                "offsets.topic.replication.factor": str(len(hosts)),
                "min.insync.replicas": "2",
                "controller.quorum.election.timeout.ms": "500",
                "controller.quorum.fetch.timeout.ms": "1500",
                "replica.lag.time.max.ms": "3000",
            }
            usual = dict(line.split("=", 1) for line in _PROPERTIES.splitlines() if "=" in line and not line.startswith("#"))
            (folder / "server.properties").write_text("\n".join(f"{name}={value}" for name, value in {**usual, **own}.items()) + "\n")
            form = [*_java(jars), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", "server.properties"]
            subprocess.run(form, cwd=folder, check=True, capture_output=True)
            command = (*_java(jars, "-Xmx320m", "-Xms96m", "-XX:TieredStopAtLevel=1"), "kafka.Kafka", "server.properties")
            self._start(host, *command, env=_ENVIRONMENT)
        address = ",".join(f"{host.address}:{KAFKA}" for host in hosts)
        wait_until(lambda: _brokers(address) == len(hosts), "three brokers to answer", 90)
        return address

    def redis_cluster(self, hosts: list[Host]) -> str:
        """A master on each host; the URL of the first."""
        for host in hosts:
            options = {
                "bind": host.address,
                "port": str(REDIS),
                "dir": str(self._folder(host)),
                "protected-mode": "no",
                "cluster-enabled": "yes",
                "cluster-node-timeout": str(round(1000 * NODE_TIMEOUT_S)),
                # the shards of those who answer go on
                "cluster-require-full-coverage": "no",
            }
            self._start(host, redis_program(), str(CONFIG), *[part for name, value in options.items() for part in (f"--{name}", value)])
        clients = [redis.Redis(host.address, REDIS) for host in hosts]
        wait_until(lambda: all(map(_pings, clients)), "Redis to answer", 30)
        join_cluster(clients, (hosts[0].address, REDIS, BUS))
        return f"redis://{hosts[0].address}:{REDIS}/0"

    def clickhouse(self, host: Host) -> str:
        """The ClickHouse engine; its URL."""
        command = (sys.executable, "-P", "-m", "deploy.stack.clickhouse", "--data", str(self._folder(host)))
        self._start(host, *command, "--host", host.address, "--port", str(CLICKHOUSE), env={"PYTHONPATH": str(ROOT)})
        return f"http://{host.address}:{CLICKHOUSE}"

    def _folder(self, host: Host) -> Path:
        folder = self.folder / host.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, host: Host, *command: str, env: dict[str, str] | None = None) -> None:
        self._processes.append(host.start(*command, log=self.folder / f"{host.name}.log", folder=self._folder(host), env=env))


def _brokers(address: str) -> int:
    try:
        return len(AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2).brokers)
    except KafkaException:
        return 0


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
