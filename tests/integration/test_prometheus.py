"""A real Prometheus and Alertmanager over real processes: every metric exists, every panel draws, nothing alarms in peace, and a worker
that is killed is told, and told to be back."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from deploy.grafana.dashboards import DASHBOARDS
from deploy.grafana.panels import metrics_of
from deploy.stack.ports import free_port
from tests.channel_doubles import Double, served
from tests.servers import wait_until
from tests.workers import ROOT, Deployment, Worker

PATIENCE_S = 90
SOURCE = ROOT / "deploy" / "prometheus"
KILLED = "RflowProcessDown"
RULES = [
    rule
    for file in sorted((SOURCE / "rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
QUERIES = [(panel, query.expr) for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def answers(url: str) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            get(url)
        except OSError:
            return False
        return True

    return asked


@contextmanager
def program(log: Path, *command: object) -> Iterator[None]:
    """A server that ends with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen([str(word) for word in command], cwd=log.parent, stdout=file, stderr=file)
    try:
        yield
    finally:
        process.kill()
        process.wait()


class World:
    """The processes, and what Prometheus and Alertmanager say of them."""

    def __init__(self, deployment: Deployment, told: Double) -> None:
        self.deployment = deployment
        self.told = told
        self.exporter, self.prometheus, self.room = free_port(), free_port(), free_port()
        self.processes = {name: self.start(name, warroom_port=self.room) for name in ("worker", "sink", "warroom", "alerts")}

    def start(self, name: str, port: int = 0, **given: Any) -> Worker:
        """One of rflow's processes."""
        module = ("deploy", name)
        log = self.deployment.folder / f"{name}-{port}.log"
        made = Worker(self.deployment.environment(log_format="json", **given), log, module=module, port=port)
        self.deployment.workers.append(made)
        return made

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now; fails the test where Prometheus does not take it."""
        asked = urllib.parse.urlencode({"query": expression})
        told = json.loads(get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{asked}"))
        assert told["status"] == "success", expression
        result: list[dict[str, Any]] = told["data"]["result"]
        return result

    def states(self, alert: str) -> set[tuple[str, str]]:
        """How an alert was told: status and instance."""
        return {(one["status"], one["labels"].get("instance", "")) for one in self.told.taken if one["labels"]["alertname"] == alert}


def taken(double: Double, _path: str, _headers: dict[str, str], body: bytes) -> tuple[int, Any]:
    double.taken += json.loads(body)["alerts"]
    return 200, {}


def configured(folder: Path, world: World, alertmanager: int) -> None:
    """The configuration of deploy/prometheus with addresses of this machine, every second, and no minute's wait for the killed one."""
    told = yaml.safe_load((SOURCE / "prometheus.yml").read_text())
    told["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}
    told["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
    targets = {"rflow": [one.port for one in world.processes.values()], "redis": [world.exporter]}
    for job in told["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(told))
    (folder / "rules").mkdir()
    for file in (SOURCE / "rules").iterdir():
        rules = yaml.safe_load(file.read_text())
        for rule in rules["groups"][0]["rules"]:
            if rule.get("alert") == KILLED:
                rule["for"] = "1s"
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))
    receivers = yaml.safe_load((SOURCE / "alertmanager.yml").read_text())
    receivers["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in receivers["receivers"]:
        receiver["webhook_configs"] = [{"url": world.told.url, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(receivers))


def touchpoints(count: int) -> Iterator[bytes]:
    """Of every kind, with repeats, up to now."""
    now = int(time.time() * 1000)
    for i in range(count):
        kind, more = (
            ("ad_exposure", {}),
            ("qr_scan", {}),
            ("group_join", {"relation_id": "g"}),
            ("purchase", {"order_id": f"o{i}", "amount": 100, "currency": "CNY"}),
        )[i % 4]
        record = {"event_id": f"e{i % (count - 10)}", "type": kind, "brand": "acme", "user_id": f"u{i // 4}", "channel": "wechat_moments"}
        yield orjson.dumps({**record, "occurred_at": now - count + i, **more})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, kafka: str, redis_url: str, clickhouse_url: str) -> Iterator[World]:
    folder, alertmanager, prefix = tmp_path_factory.mktemp("prometheus"), free_port(), f"p{uuid.uuid4().hex[:10]}"
    given = {"clickhouse_url": clickhouse_url, "clickhouse_database": f"t_{prefix}", "sink_linger": 0.2}
    with ExitStack() as stack:
        deployment = stack.enter_context(Deployment(folder, kafka, redis_url, f"{prefix}.", prefix, **given))
        deployment.create_topics()
        told = Double(taken)
        stack.enter_context(served(told, "/"))
        world = World(deployment, told)
        configured(folder, world, alertmanager)
        own = f"--web.listen-address=127.0.0.1:{world.exporter}"
        stack.enter_context(program(folder / "exporter.log", "prometheus-redis-exporter", f"--redis.addr={redis_url}", own))
        listen = f"--web.listen-address=127.0.0.1:{alertmanager}"
        stack.enter_context(
            program(
                folder / "alertmanager.log",
                "prometheus-alertmanager",
                "--config.file=alertmanager.yml",
                "--cluster.listen-address=",
                listen,
            )
        )
        for name, process in world.processes.items():
            wait_until(lambda process=process: process.get("/readyz")[0] == 200, name, PATIENCE_S)  # type: ignore[misc]
        deployment.until_applied(deployment.replay(touchpoints(400)).ends)
        own = f"--web.listen-address=127.0.0.1:{world.prometheus}"
        stack.enter_context(
            program(folder / "prometheus.log", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", own)
        )
        wait_until(answers(f"http://127.0.0.1:{world.prometheus}/-/ready"), "Prometheus", PATIENCE_S)
        yield world


def test_every_metric_that_rules_and_dashboards_name_is_told_by_some_process(world: World) -> None:
    ports = [*(one.port for one in world.processes.values()), world.exporter]
    wait_until(answers(f"http://127.0.0.1:{world.exporter}/metrics"), "the exporter", PATIENCE_S)
    known = set()
    for port in ports:
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", get(f"http://127.0.0.1:{port}/metrics").decode(), re.MULTILINE):
            known |= {name, f"{name}_bucket"} if kind == "histogram" else {name}
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    named = {name for expression in [*(rule["expr"] for rule in RULES), *(expr for _, expr in QUERIES)] for name in metrics_of(expression)}
    assert named - recorded - known == set()
    assert {name for name in named if name.startswith("redis_")}


def test_every_panel_draws_and_nothing_alarms_in_peace(world: World) -> None:
    loud = {panel.title for panel, _ in QUERIES if not panel.quiet}
    still: set[str] = set()

    def all_drawn() -> bool:
        get(f"http://127.0.0.1:{world.room}/api/v1/brands/acme/census")
        still.clear()
        still.update(loud - {panel.title for panel, expr in QUERIES if world.query(expr.replace("$brand", ".+"))})
        return not still

    try:
        wait_until(all_drawn, "every panel", PATIENCE_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {still} stay empty") from None
    # A busy machine may miss a scrape or two, for which a minute allows, but not the second of this test.
    assert world.query(f'ALERTS{{alertstate="firing", alertname!="{KILLED}"}}') == []


def test_a_killed_worker_is_told_and_told_to_be_back(world: World) -> None:
    worker = world.processes["worker"]
    instance = f"127.0.0.1:{worker.port}"
    worker.kill()
    wait_until(lambda: ("firing", instance) in world.states(KILLED), "the alert", PATIENCE_S)
    alert = next(one for one in world.told.taken if (one["labels"]["alertname"], one["labels"]["instance"]) == (KILLED, instance))
    assert alert["annotations"]["runbook_url"] == "https://runbook.example.com/rflow/RUNBOOK_ALARMS.md#rflowprocessdown"
    assert alert["labels"] == {"alertname": KILLED, "severity": "critical", "job": "rflow", "instance": instance}
    world.start("worker", worker.port)
    wait_until(lambda: ("resolved", instance) in world.states(KILLED), "its end", PATIENCE_S)
    assert {one["labels"]["alertname"] for one in world.told.taken} == {KILLED}
