"""What the suite needs beside Python: `python -m tests.prerequisites`, which `make test` runs first.

Missing programs are installed with apt-get where that is possible (root on Debian or Ubuntu); elsewhere they are named and the exit
status is 1. Kafka's jars come through Maven, once, into the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from deploy.stack.errors import MissingProgramError, StackError
from deploy.stack.kafka import VERSION, default_cache, java_program, kafka_jars


@dataclass(frozen=True)
class Need:
    """A program, how to see that it is there, Debian's package of it, and what it is for."""

    name: str
    present: Callable[[], bool]
    package: str
    why: str


def on_path(program: str) -> Callable[[], bool]:
    """Whether a program can be started by its name."""
    return lambda: shutil.which(program) is not None


def java_is_new_enough() -> bool:
    """Whether there is a Java that Kafka runs on."""
    try:
        java_program()
    except MissingProgramError:
        return False
    return True


def has_chinese_font() -> bool:
    """Whether Chinese text can be drawn."""
    listed = shutil.which("fc-list") and subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=True).stdout
    return bool(listed)


def java_compiles() -> bool:
    """Whether that Java also compiles: it runs an example from its source."""
    if not java_is_new_enough():
        return False
    told = subprocess.run([java_program(), "--list-modules"], capture_output=True, text=True, check=False).stdout
    return "jdk.compiler@" in told


NEEDS = (
    Need("redis-server", on_path("redis-server"), "redis-server", "the state store and its cluster"),
    Need("chromium", on_path("chromium"), "chromium", "the tests of the screen in a real browser"),
    Need("fonts for Chinese", has_chinese_font, "fonts-noto-cjk", "the screen in that browser"),
    Need("Prometheus, with promtool", on_path("promtool"), "prometheus", "the rules of its alerts, and a real scrape"),
    Need("Alertmanager, with amtool", on_path("amtool"), "prometheus-alertmanager", "an alert that is told"),
    Need("redis_exporter", on_path("prometheus-redis-exporter"), "prometheus-redis-exporter", "what alerts ask of Redis itself"),
    Need("docker-compose", on_path("docker-compose"), "docker-compose", "reading compose.yaml; no container engine"),
    Need("a JDK, Java 17 or later", java_compiles, "default-jdk-headless", f"Apache Kafka {VERSION}, and the subscriber in Java"),
    Need("Maven (mvn)", on_path("mvn"), "maven", f"fetching the jars of Apache Kafka {VERSION}"),
)


def missing() -> list[Need]:
    """What is not there, without Maven where the jars it would fetch are there already."""
    needs = [need for need in NEEDS if need.package != "maven" or not default_cache().is_dir()]
    return [need for need in needs if not need.present()]


def install(needs: list[Need]) -> None:
    """Installs Debian's packages. Raises CalledProcessError if apt-get fails."""
    packages = [need.package for need in needs]
    print(f"installing {', '.join(packages)}", flush=True)
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", "update"], check=True, env=quietly)
    subprocess.run(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages], check=True, env=quietly)


def main() -> int:
    """0 if the suite can run."""
    needs = missing()
    if needs and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install(needs)
        except subprocess.CalledProcessError as error:
            print(f"apt-get failed with status {error.returncode}", file=sys.stderr)
        needs = missing()
    for need in needs:
        print(f"missing: {need.name}, for {need.why} (Debian's package: {need.package})", file=sys.stderr)
    if needs:
        return 1
    if not default_cache().is_dir():
        print(f"fetching Apache Kafka {VERSION} into {default_cache()}", flush=True)
    try:
        kafka_jars(default_cache())
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
