"""Image, compose, Kubernetes and systemd agree with the settings, the commands and the health server, and are as tight as they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.core
import typer.main
import yaml

from deploy.cli.commands import app_of
from deploy.prometheus.resource import TARGET, rules_resource
from deploy.settings import Settings, load_settings
from tests.image.dockerfile import DockerfileError, read_dockerfile
from tests.unit.deploy import manifests
from tests.unit.deploy.manifests import DEPLOY, IMAGE, OVERLAYS, UNITS, compose, of_kind, own_services, pods

ENVIRONMENTS = dict(manifests.all_settings())
VERSIONS = ("1.30", "1.37")
HEALTH_PATHS = {"/metrics", "/healthz", "/readyz"}
needs_kustomize = pytest.mark.skipif(not manifests.has_kustomize(), reason="kubectl with kustomize 5 is not installed, and Debian has none")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this is no machine with systemd")


@pytest.mark.parametrize("place", ENVIRONMENTS)
def test_settings_exist_and_have_values_that_are_taken(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: value for name, value in ENVIRONMENTS[place].items() if name.startswith("RFLOW_") and name != "RFLOW_CONFIG"}
    assert {name.removeprefix("RFLOW_").lower() for name in given} <= set(Settings.model_fields)
    for name, value in given.items():
        # What is mounted there, here.
        for file in re.findall(r"/etc/rflow/(?:secrets|login|authority)/[a-z.-]+", value):
            mounted = tmp_path / file.lstrip("/")
            mounted.parent.mkdir(parents=True, exist_ok=True)
            mounted.write_text("secret")
        monkeypatch.setenv(name, value.replace("/etc/rflow/", f"{tmp_path}/etc/rflow/"))
    load_settings()
    if "secured" in place:
        servers = [name for name in ("KAFKA", "REDIS", "CLICKHOUSE") if given[f"RFLOW_{name}_PASSWORD_FILE"]]
        process = re.split(r"[ .@]", place.replace("rflow-", ""))[2 if "compose" in place or "systemd" in place else 1]
        assert {given[f"RFLOW_{name}_USER"] for name in servers} == {f"rflow-{process}"}
        assert "KAFKA" in servers
        assert not any("PASSWORD" in name and not name.endswith("_FILE") for name in given)


def test_commands_exist() -> None:
    group = typer.main.get_command(app_of())
    assert isinstance(group, typer.core.TyperGroup)
    found = dict(manifests.all_commands())
    assert found
    assert not {place: words for place, words in found.items() if words[0] not in group.commands or len(words) > 1}
    for place in ("compose", "kubernetes", "systemd"):
        assert {words[0] for where, words in found.items() if where.startswith(place)} == {
            "init",
            "worker",
            "sink",
            "warroom",
            "alerts",
            "collect",
        }


# --- the image --------------------------------------------------------------------------------------------------------------------


def test_the_image_runs_as_nobody_special_and_exposes_what_is_served() -> None:
    user, port = IMAGE.last("USER"), IMAGE.last("EXPOSE")
    assert user is not None
    assert port is not None
    assert all(int(part) >= 10_000 for part in user.rest.split(":"))
    own = {str(Settings.model_fields[name].default) for name in ("warroom_port", "collect_port")}
    served = {manifests.image_settings()["RFLOW_HTTP_PORT"], *own}
    assert set(port.words()) == served
    assert IMAGE.last("ENTRYPOINT").listed() == ["rflow"]  # type: ignore[union-attr]
    check = IMAGE.last("HEALTHCHECK")
    assert check is not None
    assert check.listed() == ["python3", "-m", "deploy.healthcheck"]


def test_what_the_image_is_made_from_is_not_ignored() -> None:
    lines = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        name
        for stage in read_dockerfile(DEPLOY / "Dockerfile")
        for step in stage.steps
        if step.instruction == "COPY" and "--from" not in step.rest
        for name in step.words()[:-1]
    }
    assert copied == let_in
    assert "*" in lines


def test_a_recipe_that_is_not_understood_is_not_half_followed(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    for text, told in (("FROM a\nADD x y\n", "found 'ADD x y'"), ("RUN x\n", "expected FROM first")):
        file.write_text(text)
        with pytest.raises(DockerfileError, match=told):
            read_dockerfile(file)
    file.write_text('FROM a AS b\n# said\nRUN one \\\n    && two\nCMD ["x"]\n')
    (stage,) = read_dockerfile(file)
    assert [(step.instruction, step.rest) for step in stage.steps] == [("RUN", "one && two"), ("CMD", '["x"]')]


# --- compose ----------------------------------------------------------------------------------------------------------------------


def test_compose_waits_for_what_is_healthy_and_every_image_has_a_version() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert re.search(r":v?\d", service["image"]), name
        for needed, how in service.get("depends_on", {}).items():
            once = services[needed].get("restart") == "no"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), f"{name} on {needed}"
            assert once or "test" in services[needed]["healthcheck"], f"{needed} tells nobody that it is healthy"


def test_compose_opens_no_port_to_others_and_gives_processes_nothing_to_write_on() -> None:
    for name, service in compose()["services"].items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name, service in own_services().items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_compose_mounts_what_exists() -> None:
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounts = [mount for service in told["services"].values() for mount in service.get("volumes", [])]
    assert all((DEPLOY / mount.split(":")[0]).exists() for mount in mounts if mount.startswith("."))
    assert {mount.split(":")[0] for mount in mounts if not mount.startswith(".")} == set(told["volumes"])


def test_prometheus_of_compose_scrapes_every_process() -> None:
    told = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = [one for one in told["scrape_configs"] if one["job_name"] == "rflow"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == set(own_services()) - {"init", "accounts", "sources"}
    assert str(found["port"]) == manifests.image_settings()["RFLOW_HTTP_PORT"]


# --- kubernetes -------------------------------------------------------------------------------------------------------------------


def valid(resources: list[dict[str, Any]], version: str) -> None:
    for one in resources:
        if one["kind"] not in manifests.FOREIGN_KINDS | {"Kustomization"}:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_base(version: str) -> None:
    valid(manifests.base(), version)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_the_overlays(overlay: str) -> None:
    resources = manifests.rendered(overlay)
    valid(resources, VERSIONS[-1])
    assert {one["metadata"]["namespace"] for one in resources} == {"rflow-trial" if overlay == "trial" else "rflow"}


def test_pods_may_do_nothing_but_their_work() -> None:
    for name, pod in pods(manifests.base()).items():
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"], name
        assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == IMAGE.last("USER").rest, name  # type: ignore[union-attr]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name
        secret = re.compile("PASSWORD|SECRET|URL|RFLOW_KAFKA$|RFLOW_REDIS$")
        assert not [one for one in container.get("env", []) if secret.search(one["name"])], f"{name}: secrets come by reference"


def test_probes_and_ports_are_those_of_the_health_server_and_the_war_room() -> None:
    for name, pod in pods(manifests.base()).items():
        (container,) = pod["containers"]
        if name == "rflow-init":
            continue
        ports = {one["name"]: str(one["containerPort"]) for one in container["ports"]}
        told = manifests.environment(container)
        assert ports.pop("metrics") == manifests.image_settings()["RFLOW_HTTP_PORT"]
        own = {"rflow-warroom": "RFLOW_WARROOM_PORT", "rflow-collector": "RFLOW_COLLECT_PORT"}
        assert list(ports.values()) == ([told[own[name]]] if name in own else [])
        probes = {kind: container[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe", "startupProbe")}
        assert {one["path"] for one in probes.values()} <= HEALTH_PATHS
        assert {one["port"] for one in probes.values()} == {"metrics"}
        # 503 at /healthz asks for an operator: it must not restart the shards that work.
        assert probes["livenessProbe"]["path"] != "/healthz"


def test_nobody_is_reached_but_at_ports_that_are_served() -> None:
    policies = of_kind(manifests.base(), "NetworkPolicy")
    reached = {str(port["port"]) for one in policies for rule in one["spec"].get("ingress", []) for port in rule["ports"]}
    served = {str(port["containerPort"]) for pod in pods(manifests.base()).values() for port in pod["containers"][0].get("ports", [])}
    assert reached == served
    assert all(rule.get("from") for one in policies for rule in one["spec"].get("ingress", []))


def test_what_drains_a_node_takes_one_worker_at_a_time() -> None:
    budgets = {one["metadata"]["name"]: one["spec"]["maxUnavailable"] for one in of_kind(manifests.base(), "PodDisruptionBudget")}
    assert budgets == {"rflow-worker": 1, "rflow-warroom": 1, "rflow-collector": 1}


@needs_kustomize
def test_secured_pods_mount_what_their_settings_name_and_get_no_secret_by_the_environment() -> None:
    resources = manifests.rendered("secured")
    for name, pod in pods(resources).items():
        (container,) = pod["containers"]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one.get("secret", {}).get("secretName") for one in pod["volumes"]}
        assert (mounts["login"], volumes["login"]) == ("/etc/rflow/login", f"rflow-login-{name.removeprefix('rflow-')}")
        assert (mounts["authority"], volumes["authority"]) == ("/etc/rflow/authority", "rflow-authority")
        assert not [one for one in container["envFrom"] if "secretRef" in one], name


@needs_kustomize
@pytest.mark.parametrize("overlay", ["production", "promotion", "secured"])
def test_workers_are_scaled_up_to_one_a_partition_by_the_lag_of_their_group(overlay: str) -> None:
    resources = manifests.rendered(overlay)
    (scaled,) = of_kind(resources, "ScaledObject")
    settings = manifests.pod_settings(resources, "rflow-worker")
    (trigger,) = scaled["spec"]["triggers"]
    assert str(scaled["spec"]["maxReplicaCount"]) == settings["RFLOW_PARTITIONS"]
    assert trigger["metadata"]["consumerGroup"] == settings["RFLOW_GROUP"]
    assert trigger["metadata"]["bootstrapServers"] == settings["RFLOW_KAFKA_BOOTSTRAP"]
    (worker,) = [one for one in of_kind(resources, "Deployment") if one["metadata"]["name"] == scaled["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in worker["spec"]
    (monitor,) = of_kind(resources, "PodMonitor")
    assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} == {"metrics"}
    assert worker["spec"]["template"]["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "rflow"


def test_the_rules_for_prometheus_operator_are_those_of_the_folder() -> None:
    assert TARGET.read_text() == rules_resource(), "run: python -m deploy.prometheus"


# --- systemd ----------------------------------------------------------------------------------------------------------------------


@needs_systemd
def test_systemd_takes_the_units_and_finds_them_tight(tmp_path: Path) -> None:
    for path in [*UNITS, DEPLOY / "systemd" / "rflow.target"]:
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/rflow/bin/rflow", "/bin/true"))
    for folder in (DEPLOY / "systemd").glob("*.d"):
        shutil.copytree(folder, tmp_path / folder.name)
    names = [str(tmp_path / path.name.replace("@", "@1")) for path in UNITS]
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
    for path in UNITS:
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=15", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, told.stdout[-200:]


def test_units_on_one_host_do_not_take_each_others_ports() -> None:
    ports = [settings["RFLOW_HTTP_PORT"] for path in UNITS if "RFLOW_HTTP_PORT" in (settings := manifests.unit_settings(path))]
    assert len(set(ports)) == len(ports) == 5
    assert all(manifests.unit(path)["User"] == ["rflow"] for path in UNITS)
