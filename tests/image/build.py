"""Carries out a Dockerfile's stages in folders, each a copy of a Debian root, by chroot. Needs root and debootstrap."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.image.dockerfile import DockerfileError, Stage, Step

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_OURS = "/run/certificates-of-this-machine.crt"
_BASE = "debian:bookworm-slim"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"image: {text}", flush=True)


def mirror(suite: str) -> str:
    """Where this machine gets a suite of Debian from. Raises SystemExit if it does not."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = [line.partition(" ")[2] for line in told if line.partition(" ")[0] == suite]
    if not found:
        raise SystemExit(f"expected {suite} among the sources of apt-get: run apt-get update")
    return found[0]


def base_root(folder: Path) -> Path:
    """A minimal Debian root, made by debootstrap if it is not there yet, with this machine's way to the network."""
    root = folder / "base"
    if not (root / "etc" / "debian_version").exists():
        suite = _BASE.partition(":")[2].removesuffix("-slim")
        say(f"debootstrap {suite}, as {_BASE} is made")
        subprocess.run(["debootstrap", "--variant=minbase", suite, str(root), mirror(suite)], check=True, stdout=subprocess.DEVNULL)
    for file, target in (("/etc/resolv.conf", "etc/resolv.conf"), ("/etc/pip.conf", "etc/pip.conf"), (CERTIFICATES, _OURS[1:])):
        if Path(file).exists():
            shutil.copyfile(file, root / target)
    return root


class Built:
    """A stage that has been carried out: its root, and what its instructions have set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = dict(_ENVIRONMENT)
        self.folder = "/"
        self.shell = ["/bin/sh", "-c"]
        self.user = ""
        self.volumes: list[str] = []
        self.arguments: dict[str, str] = {}

    def run(self, command: list[str]) -> None:
        """Raises CalledProcessError if it fails."""
        network = {"PIP_CERT": _OURS} if CERTIFICATES.exists() else {}
        inside = ["/bin/sh", "-c", f'cd {shlex.quote(self.folder)} && exec "$@"', "sh", *command]
        subprocess.run(["chroot", str(self.root), *inside], env={**self.environment, **self.arguments, **network}, check=True)


class Builder:
    """Builds the stages in `folder` out of the context, `source`."""

    def __init__(self, folder: Path, source: Path, arguments: dict[str, str]) -> None:
        self._folder = folder
        self._source = source
        self._arguments = arguments
        self._stages: dict[str, Built] = {}

    def build(self, stages: list[Stage]) -> Built:
        """All stages; the last one."""
        for number, stage in enumerate(stages):
            if stage.image != _BASE:
                raise DockerfileError(f"expected FROM {_BASE}, found {stage.image}")
            root = self._folder / f"stage-{number}"
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run(["cp", "--archive", "--reflink=auto", str(base_root(self._folder)), str(root)], check=True)
            built = Built(root)
            self._stages[stage.name or str(number)] = built
            for step in stage.steps:
                say(f"stage {number}: {step.instruction} {step.rest[:120]}")
                self._carry_out(step, built)
        return built

    def _carry_out(self, step: Step, built: Built) -> None:
        match step.instruction:
            case "SHELL":
                built.shell = step.listed()
            case "RUN":
                built.run([*built.shell, step.rest])
            case "ARG":
                name, _, default = step.rest.partition("=")
                built.arguments[name] = self._arguments.get(name, default)
            case "ENV":
                built.environment |= dict(word.split("=", 1) for word in step.words())
            case "WORKDIR":
                built.folder = step.rest
                (built.root / step.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(step.words(), built)
            case "USER":
                built.user = step.rest
            case "VOLUME":
                built.volumes += step.listed()

    def _copy(self, words: list[str], built: Built) -> None:
        source = self._source
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).removeprefix("--from=")].root
        *names, target = words
        into = built.root / os.path.normpath(os.path.join(built.folder, target)).lstrip("/")  # noqa: PTH118
        for name in names:
            found = source / name.lstrip("/")
            is_tree = found.is_dir()
            into.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", f"{found}/." if is_tree else str(found), str(into)], check=True)
