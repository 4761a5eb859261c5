"""A deployment on secured servers: each process logs in as a user of its own, whose password lies in a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson
import redis
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from typer.testing import CliRunner, Result

from deploy.cli.commands import app_of
from deploy.security.render import KafkaRight, Names, clickhouse_grants, kafka_rights, redis_rules
from deploy.security.rights import RIGHTS, Process
from deploy.settings import Settings, load_settings
from tests.chaos.proxy import Loop
from tests.secured.brokers import SecuredKafka, redis_user, secured_cluster, secured_redis
from tests.secured.certificates import Authority
from tests.secured.gate import Gate
from tests.secured.issuer import SCOPE, Issuer
from tests.secured.limited_engine import limited
from tests.servers import Server, Servers
from tests.workers import Worker

_BUSY = {"socket.connection.setup.timeout.ms": 30_000, "socket.timeout.ms": 30_000}
"""TLS and a login take long where the machine has much else to do; how soon a dead connection is noticed is tried elsewhere."""
T = TypeVar("T")
SERVERS = ("kafka", "redis", "clickhouse")
_OPERATIONS = {operation.name.replace("_", "").lower(): operation for operation in AclOperation}
_KINDS = {"Topic": ResourceType.TOPIC, "Group": ResourceType.GROUP, "Cluster": ResourceType.BROKER}


class World:
    """Servers, users and rights; left, it kills the processes that still run.

    One `beside` another is a further deployment on its Kafka and ClickHouse, with a Redis of its own; a Redis Cluster if `names` say so.
    """

    def __init__(self, folder: Path, names: Names, *, beside: World | None = None) -> None:
        self.folder = folder
        self.names = names
        self._beside = beside
        self.processes: list[Worker] = []
        self.passwords: dict[tuple[str, str], list[str]] = {}
        """by server and process every password there has been"""
        self.written: dict[str, str] = {}
        """what commands have written, and what processes told over HTTP"""
        self.ran: set[Process] = set()
        """who has run with the rights that it has, and no more"""
        self.seen_in_ps = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.servers = self._stack.enter_context(Servers(self.folder / "servers"))
        self.engine: Server | None = None
        if self._beside is None:
            self.authority = Authority(self.folder / "tls")
            self.issuer = self._stack.enter_context(Issuer({}))
            loop = self._stack.enter_context(Loop())
            self.kafka = SecuredKafka(self.servers, self.folder / "broker", self.authority, self.issuer, loop)
            self._stack.callback(self.kafka.proxy.close)
            self.gate = self._stack.enter_context(Gate(self.authority))
        else:
            shared = self._beside
            self.authority, self.issuer, self.kafka, self.gate = shared.authority, shared.issuer, shared.kafka, shared.gate
        if self.names.cluster:
            self.redis_nodes, self.redis_url = secured_cluster(self.servers, self.authority)
        else:
            door, self.redis_url = secured_redis(self.servers, self.authority)
            self.redis_nodes = [door]
        for process in Process:
            self._make_user(process)
        self.make_redis_users()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.is_running:
                process.kill()
        self._stack.close()

    # --- users and rights ---------------------------------------------------------------------------------------------------------
    def _make_user(self, process: Process) -> None:
        for server in SERVERS:
            self._new_password(server, process)
        user = self.user(process)
        self.kafka.user(user, self.password("kafka", process))
        self.kafka.allow(self.bindings(process))
        if RIGHTS[process].clickhouse:
            self.gate.users[user] = {self.password("clickhouse", process)}

    def make_redis_users(self) -> None:
        """On every node: it has none after a start."""
        for process, rights in RIGHTS.items():
            if rules := redis_rules(rights, self.names):
                for node in self.redis_nodes:
                    redis_user(node.address, self.user(process), f"on >{self.password('redis', process)} {rules}")

    def refused_by_redis(self) -> set[str]:
        """What Redis has refused, and to whom, since it was asked last."""
        found = [one for log in self.redis_doors(lambda door: door.acl_log()) for one in log]
        self.redis_doors(lambda door: door.acl_log_reset())
        return {f"{one['username']}: {one['object']}" for one in found}

    def redis_doors(self, ask: Callable[[redis.Redis], T]) -> list[T]:
        """What each node says to somebody who may do all."""
        found = []
        for node in self.redis_nodes:
            with redis.Redis.from_url(node.address) as door:
                found.append(ask(door))
        return found

    def user(self, process: Process) -> str:
        """Who a process is to all three."""
        return f"{self.names.user}{process}"

    def bindings(self, process: Process) -> list[AclBinding]:
        """Its rights in Kafka."""
        return [self.binding(process, right) for right in kafka_rights(RIGHTS[process], self.names)]

    def binding(self, process: Process, right: KafkaRight, user: str = "") -> AclBinding:
        """One right in Kafka, of the process' user or of another."""
        operation = _OPERATIONS[right.operation.lower()]
        principal = f"User:{user or self.user(process)}"
        return AclBinding(_KINDS[right.kind], right.name, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW)

    def password(self, server: str, process: Process) -> str:
        """The one in force."""
        return self.passwords[server, process][-1]

    def _new_password(self, server: str, process: Process) -> str:
        made = f"marker-{server}-{process}-{secrets.token_hex(8)}"
        self.passwords.setdefault((server, process), []).append(made)
        path = self.secret(server, process)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(made + "\n")
        draft.replace(path)
        return made

    def secret(self, server: str, process: Process) -> Path:
        """The file with a process' password."""
        return self.folder / "secrets" / f"{process}-{server}"

    def change_passwords(self, processes: Iterable[Process]) -> None:
        """New passwords in the files and at the servers, the old ones no longer good, and every connection cut."""
        for process in processes:
            user = self.user(process)
            for server in SERVERS:
                self._new_password(server, process)
            self.kafka.user(user, self.password("kafka", process))
            if redis_rules(RIGHTS[process], self.names):
                old = self.passwords["redis", process][-2]
                for node in self.redis_nodes:
                    redis_user(node.address, user, f"<{old} >{self.password('redis', process)}")
            if user in self.gate.users:
                self.gate.users[user] = {self.password("clickhouse", process)}
        self.kafka.proxy.cut()
        self.redis_doors(lambda door: door.client_kill_filter(_type="normal", skipme=True))

    def clickhouse_with(self, process: Process | None, *others: Names) -> None:
        """Puts an engine behind the gate, over the same data: one with the rights of a process, in `others` too, or with all."""
        if self.engine is not None:
            self.engine.stop()
        given = [one for names in (self.names, *others) for one in clickhouse_grants(RIGHTS[process], names, "x")] if process else []
        grants = [one.rpartition(" TO ")[0] for one in given] or ["GRANT ALL ON *.*"]
        self.engine = limited(self.servers, self.folder / "clickhouse" / "data", grants)
        self.gate.behind = self.engine.address

    # --- processes ----------------------------------------------------------------------------------------------------------------
    def given(self, process: Process) -> dict[str, Any]:
        """The settings with which a process reaches the servers and logs in."""
        ca, user = str(self.authority.ca), self.user(process)
        return {
            "kafka_bootstrap": self.kafka.sasl,
            "kafka": {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": ca, **_BUSY},
            "kafka_user": user,
            "kafka_password_file": str(self.secret("kafka", process)),
            "redis_url": self.redis_url,
            "redis": {"ssl_ca_certs": ca},
            "redis_cluster": self.names.cluster,
            "redis_user": user,
            "redis_password_file": str(self.secret("redis", process)),
            "clickhouse_url": self.gate.url,
            "clickhouse": {"ca_cert": ca},
            "clickhouse_user": user,
            "clickhouse_password_file": str(self.secret("clickhouse", process)),
            "clickhouse_database": self.names.database,
            "topic_prefix": self.names.topic_prefix,
            "group": self.names.group,
            "redis_prefix": self.names.redis_prefix,
            "log_format": "json",
            "session_timeout": 20.0,
        }

    def oauth(self, process: Process) -> dict[str, Any]:
        """The settings with which it logs in to Kafka by tokens instead."""
        self.issuer.clients[self.user(process)] = self.password("kafka", process)
        options = {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "OAUTHBEARER",
            "ssl.ca.location": str(self.authority.ca),
            **_BUSY,
            "sasl.oauthbearer.token.endpoint.url": self.issuer.token_url,
            "sasl.oauthbearer.scope": SCOPE,
        }
        return {**self.given(process), "kafka": options}

    def mutual(self, process: Process) -> dict[str, Any]:
        """The settings with which it logs in to Kafka by a certificate instead."""
        certificate, key = self.authority.sign(self.user(process))
        files = {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}
        options = {"security.protocol": "ssl", "ssl.ca.location": str(self.authority.ca), **_BUSY, **files}
        given = {**self.given(process), "kafka_bootstrap": self.kafka.mutual, "kafka": options}
        return {name: value for name, value in given.items() if name not in ("kafka_user", "kafka_password_file")}

    def settings(self, process: Process, **more: Any) -> Settings:
        """The settings of a process, to be used here."""
        return load_settings(**{**self.given(process), **more})

    def environment(self, given: dict[str, Any], **more: Any) -> dict[str, str]:
        """Settings as a process gets them."""
        values = {**given, **more}
        texts = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in values.items()}
        return {f"RFLOW_{name.upper()}": text for name, text in texts.items()}

    def start(self, process: Process, *arguments: str, given: dict[str, Any] | None = None, **more: Any) -> Worker:
        """A process of rflow's; the command is the first that needs its rights, unless `arguments` say otherwise."""
        self.ran.add(process)
        environment = self.environment(given or self.given(process), **more)
        command = arguments or RIGHTS[process].run[:1]
        log = self.folder / f"{process}-{len(self.processes) + 1}.log"
        made = Worker(environment, log, module=("deploy", *command))
        self.processes.append(made)
        self.look_at_ps()
        return made

    def rflow(self, *arguments: str, as_: Process = Process.OPERATOR, **more: Any) -> Result:
        """A command, carried out here."""
        self.ran.add(as_)
        inherited = dict.fromkeys(name for name in os.environ if name.startswith("RFLOW_"))
        done = CliRunner(env={**inherited, **self.environment(self.given(as_), **more)}).invoke(app_of(), arguments)
        self.written[f"rflow {' '.join(arguments)}"] = f"{done.output}{done.exception or ''}"
        return done

    def look_at_ps(self) -> None:
        """Takes down the command lines of all processes of this machine that can be read."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                self.seen_in_ps += path.read_bytes().replace(b"\0", b" ").decode(errors="replace") + "\n"

    def logs(self) -> Iterable[tuple[str, str]]:
        """What every process has written."""
        return ((one.log.name, one.log.read_text(errors="replace")) for one in self.processes)

    def double(self, process: Process, **more: Any) -> Settings:
        """The settings of another user with the same rights, from whom some can be taken while the process runs."""
        user = f"double-{process}"
        self.kafka.user(user, self.password("kafka", process))
        self.kafka.allow(self.binding(process, right, user) for right in kafka_rights(RIGHTS[process], self.names))
        return self.settings(process, kafka_user=user, **more)

    @contextmanager
    def without(self, settings: Settings, process: Process, right: KafkaRight) -> Iterator[None]:
        """The user of these settings has all rights of a process but one, for a while."""
        with self.kafka.without(self.binding(process, right, settings.kafka_user)):
            yield
