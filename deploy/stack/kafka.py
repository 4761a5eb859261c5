"""Apache Kafka on one machine without a container: one KRaft node on plain Java, its jars fetched once by Maven.

Three steps: the jars (`kafka_jars`, cached between data folders), the data folder (`format_kafka`, once), the process
(`kafka_server`). `deploy/kafka/pom.xml` pins the jars.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from deploy.stack.errors import MissingProgramError, StackError
from deploy.stack.process import ProcessSpec
from deploy.stack.ready import kafka_answers

VERSION = "4.2.0"
_FILES = Path(__file__).resolve().parents[1] / "kafka"
_OLDEST_JAVA = 17

_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
"""In the plain C locale Java cannot even start in a folder whose name has other letters than ASCII's."""

_SETTINGS = "server.properties"
"""In the node's folder, where it runs: no path in the settings needs escaping then."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=log

# Topics are made by `rflow init`, with their settings. One made by a typing error would have none of them.
auto.create.topics.enable=false

# One node: no copies, and no waiting for members that start together on one machine.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# A node that was killed may register again only when its session is over: nine seconds, by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# A topic that does not say how long to keep its records keeps them: a replay of an old year must not be deleted for its age.
# Neither may a record be refused for its time, as a simulated day to come would be.
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
log.message.timestamp.before.max.ms=9223372036854775807

# A small machine.
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
"""


def default_cache() -> Path:
    """Where the jars are kept: `$XDG_CACHE_HOME/rflow/kafka-VERSION`, by default under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rflow" / f"kafka-{VERSION}"


def kafka_jars(cache: Path) -> Path:
    """The folder of the broker's jars, `cache`, filled by Maven if it is not there yet (some 55 MB). Blocks.

    Two processes may fetch at once; each has the whole folder in the end. Raises MissingProgramError without Maven and
    StackError if Maven fails.
    """
    if cache.is_dir():
        return cache
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingProgramError(f"mvn is not on the PATH: install Maven, or put Kafka {VERSION}'s jars into {cache}")
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{cache.name}.", dir=cache.parent) as draft:
        fetched = Path(draft) / "jars"
        command = [maven, "-q", "-B", "-f", str(_FILES / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StackError(f"Maven could not fetch Kafka {VERSION}: {_end(done.stdout + done.stderr)}")
        try:
            fetched.rename(cache)
        except OSError:
            if not cache.is_dir():  # else another process was first
                raise
    return cache


def java_program() -> str:
    """The Java to run. Raises MissingProgramError if there is none, or an old one."""
    java = shutil.which("java")
    if java is None:
        raise MissingProgramError(f"java is not on the PATH: install Java {_OLDEST_JAVA} or later, which Kafka {VERSION} needs")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = told.partition('"')[2].partition(".")[0]
    if version.isdigit() and int(version) < _OLDEST_JAVA:
        raise MissingProgramError(f"Java {version} is too old for Kafka {VERSION}: install Java {_OLDEST_JAVA} or later")
    return java


def format_kafka(folder: Path, port: int, controller_port: int, jars: Path) -> None:
    """Write the node's settings, and make the folder a Kafka log folder if it is none yet. Blocks for about a second then."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _SETTINGS).write_text(_PROPERTIES.format(port=port, controller_port=controller_port))
    if (folder / "log" / "meta.properties").exists():
        return
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*_java(jars), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", _SETTINGS]
    environment = {**os.environ, **_ENVIRONMENT}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"Kafka's log folder {folder} could not be made: {_end(done.stdout + done.stderr)}")


def kafka_server(folder: Path, port: int, jars: Path, heap_mib: int = 512) -> ProcessSpec:
    """The broker of a formatted folder. It keeps its data, so it can be started again."""
    return ProcessSpec(
        role="broker",
        argv=(*_java(jars, f"-Xmx{heap_mib}m", "-Xms128m"), "kafka.Kafka", _SETTINGS),
        folder=folder,
        env=_ENVIRONMENT,
        ready=kafka_answers(port),
        ready_timeout=90.0,
        grace=30.0,
    )


def _java(jars: Path, *options: str) -> tuple[str, ...]:
    log4j = f"-Dlog4j2.configurationFile={(_FILES / 'log4j2.yaml').as_uri()}"
    # One collector thread: the heap is small and the cores are few.
    return (java_program(), *options, "-XX:+UseSerialGC", "-Djava.awt.headless=true", log4j, "-cp", f"{jars}/*")


def _end(output: str) -> str:
    """The last lines of what a Java program said, without its stack traces."""
    told = [line for line in output.strip().splitlines() if not line.lstrip().startswith(("at ", "... "))]
    return "\n".join(told[-8:])
