"""What the deployments in deploy/ say: settings, commands, containers, of Docker, compose, Kubernetes and systemd alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.image.dockerfile import read_dockerfile

DEPLOY = Path(__file__).parents[3] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("trial", "production", "promotion", "secured")
FOREIGN_KINDS = {"ScaledObject", "PodMonitor", "PrometheusRule"}
"""Kinds of operators that Kubernetes itself does not know."""
IMAGE = read_dockerfile(DEPLOY / "Dockerfile")[-1]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DROP_IN = DEPLOY / "systemd" / "rflow-.service.d" / "secured.conf"
TLS_OF_THE_FILE = {
    "RFLOW_KAFKA": '{"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"}',
    "RFLOW_REDIS_URL": "rediss://redis:6380/0",
    "RFLOW_CLICKHOUSE_URL": "https://clickhouse:8443",
}
"""What the drop-in leaves to rflow.toml."""

Settings = dict[str, str]
Resource = dict[str, Any]


def image_settings() -> Settings:
    """What the image sets."""
    words = [word for step in IMAGE.steps if step.instruction == "ENV" for word in step.words()]
    return dict(word.split("=", 1) for word in words)


@cache
def compose(*more: str) -> dict[str, Any]:
    """compose.yaml, with `more` files over it, as `docker-compose config` understands it, with what it must be given. Raises
    CalledProcessError if it does not."""
    files = [part for name in ("compose.yaml", *more) for part in ("-f", str(DEPLOY / name))]
    command = ["docker-compose", *files, "config"]
    given = {**os.environ, "WARROOM_PASSWORD": "correct horse battery"}
    told: dict[str, Any] = yaml.safe_load(subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout)
    return told


def own_services(*more: str) -> dict[str, dict[str, Any]]:
    """The services of compose.yaml, with `more` files over it, that run rflow's image."""
    return {name: service for name, service in compose(*more)["services"].items() if service["image"].startswith("rflow:")}


@cache
def base() -> list[Resource]:
    """The resources of the base, as they are written."""
    return [one for file in sorted((KUBERNETES / "base").glob("*.yaml")) for one in yaml.safe_load_all(file.read_text())]


def has_kustomize() -> bool:
    """Whether there is a kubectl whose kustomize knows components and labels (5 or later)."""
    if shutil.which("kubectl") is None:
        return False
    told = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False).stdout
    return bool(re.search(r"Kustomize Version: v(?:[5-9]|\d\d)", told))


@cache
def rendered(overlay: str) -> list[Resource]:
    """An overlay as `kubectl apply -k` would send it."""
    command = ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def of_kind(resources: list[Resource], *kinds: str) -> list[Resource]:
    """Those of these kinds."""
    return [one for one in resources if one["kind"] in kinds]


def pods(resources: list[Resource]) -> dict[str, dict[str, Any]]:
    """The pods' specifications by the name of what makes them."""
    made = of_kind(resources, "Deployment", "StatefulSet", "Job")
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in made}


def environment(container: dict[str, Any]) -> Settings:
    """What a container is given by name."""
    return {one["name"]: one["value"] for one in container.get("env", [])}


def pod_settings(resources: list[Resource], name: str) -> Settings:
    """What a pod's process finds in its environment, secrets apart."""
    (common,) = [one["data"] for one in of_kind(resources, "ConfigMap") if one["metadata"]["name"].startswith("rflow-settings")]
    return {**image_settings(), **common, **environment(pods(resources)[name]["containers"][0])}


def unit(path: Path) -> dict[str, list[str]]:
    """A systemd unit's values by name."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def unit_settings(path: Path, of: str = "") -> Settings:
    """What a unit's process finds in its environment; of a template, its first. `of` is the unit that a drop-in is for."""
    prefix = (of or path.name).partition(".")[0].partition("@")[0]
    words = " ".join(unit(path).get("Environment", [])).replace("%i", "1").replace("%p", prefix).split()
    return dict(word.split("=", 1) for word in words)


def all_settings() -> Iterator[tuple[str, Settings]]:
    """Every environment of one of rflow's processes, and where it stands."""
    yield "Dockerfile", image_settings()
    for name, service in own_services().items():
        yield f"compose {name}", {**image_settings(), **{key: str(value) for key, value in service.get("environment", {}).items()}}
    for name, service in own_services("compose.secured.yaml").items():
        if name not in ("accounts", "sources"):  # they make files, and log in nowhere
            yield f"secured compose {name}", {**image_settings(), **{key: str(value) for key, value in service["environment"].items()}}
    for path in UNITS:
        yield f"systemd {path.name}", unit_settings(path)
        unused = path.with_name(f"{path.name}.d") / "unused.conf"
        drop_ins = {**unit_settings(DROP_IN, path.name), **(unit_settings(unused) if unused.exists() else {})}
        yield f"secured systemd {path.name}", {**unit_settings(path), **drop_ins, **TLS_OF_THE_FILE}
    for overlay in OVERLAYS if has_kustomize() else ():
        resources = rendered(overlay)
        yield from ((f"{overlay} {name}", pod_settings(resources, name)) for name in pods(resources))


def all_commands() -> Iterator[tuple[str, list[str]]]:
    """What is run of rflow, and where that stands."""
    for name, service in own_services().items():
        if "entrypoint" not in service:
            yield f"compose {name}", service["command"]
    for name, pod in pods(base()).items():
        yield f"kubernetes {name}", pod["containers"][0]["args"]
    for path in UNITS:
        (line,) = unit(path)["ExecStart"]
        yield f"systemd {path.name}", line.split()[1:]


def shown(value: object) -> str:
    """A value in a failure's words."""
    return json.dumps(value)
