"""`make image-check`: the steps of deploy/Dockerfile in a Debian root made by debootstrap, then the image's promises, tried in it:
nobody is root, the root is read-only, no compiler, the health check answers, `rflow demo --check` holds.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.stack.ports import free_port
from tests.image.build import Builder, Built, say
from tests.image.dockerfile import read_dockerfile

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
COMPILERS = ("gcc", "cc", "g++", "clang", "make", "pip")


def context(folder: Path) -> Path:
    """The files that git knows, as a clean checkout has them."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    target = folder / "context"
    shutil.rmtree(target, ignore_errors=True)
    for name in filter(None, names.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def inside(built: Built, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    """A command as a container engine would run it with --read-only --tmpfs /tmp --security-opt no-new-privileges, its volumes empty."""
    root, writable = shlex.quote(str(built.root)), ["/tmp", "/dev/shm", *built.volumes]
    user, _, group = built.user.partition(":")
    mounts = [
        f"mount --bind {root} {root}",
        f"mount -o remount,bind,ro {root}",
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /dev {root}/dev",
        *(
            f"mount -t tmpfs -o mode={'1777' if place in writable[:2] else '0700'},uid={user},gid={group} tmpfs {root}{place}"
            for place in writable
        ),
        f"exec chroot --userspec={user}:{group} {root} /usr/bin/setpriv --no-new-privs"
        f' /bin/sh -c \'cd {built.folder} && exec "$@"\' sh "$@"',
    ]
    script = "\n".join(["set -e", *mounts])
    return subprocess.Popen(
        ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", script, "sh", *command], env={**built.environment, **environment}
    )


def done(process: subprocess.Popen[bytes], seconds: float) -> int:
    """The exit status, 124 if it takes too long."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 124


def examine(built: Built, demo: list[str]) -> list[tuple[str, bool]]:
    """What is promised of the image, and whether it holds."""
    look = "import os, pathlib; assert os.getuid() == 10001; pathlib.Path('/tmp/x').touch()"
    write = "import pathlib; pathlib.Path('/opt/rflow/x').touch()"
    there = [
        name for name in COMPILERS if any((built.root / place / name).exists() for place in ("usr/bin", "opt/rflow/bin", "usr/local/bin"))
    ]
    found = [
        ("it runs as a user of its own, /tmp is writable", done(inside(built, "python3", "-c", look), 60) == 0),
        (
            "the root is read-only",
            done(inside(built, "python3", "-c", f"try:\n {write}\nexcept OSError:\n pass\nelse:\n raise SystemExit(1)"), 60) == 0,
        ),
        ("no compiler, no pip", not there),
        ("rflow starts", done(inside(built, "rflow", "--help"), 300) == 0),
        ("the health check answers, and only while a process runs", _health(built)),
    ]
    if demo:
        began = time.monotonic()
        status = done(inside(built, "rflow", *demo), 7200)
        found.append((f"rflow {' '.join(demo)} ({time.monotonic() - began:.0f} s)", status == 0))
    return found


def _health(built: Built) -> bool:
    port = str(free_port())
    check = ["python3", "-m", "deploy.healthcheck"]
    alone = done(inside(built, *check, RFLOW_HTTP_PORT=port), 60)
    worker = inside(built, "rflow", "worker", RFLOW_HTTP_PORT=port, RFLOW_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    try:
        for _ in range(60):
            time.sleep(2)
            if done(inside(built, *check, RFLOW_HTTP_PORT=port), 60) == 0:
                return alone == 1
        return False
    finally:
        worker.terminate()
        done(worker, 30)


def main() -> int:
    """0 if all of it holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the roots are made and kept; default: a temporary one")
    parser.add_argument("--no-demo", action="store_true", help="the image of production alone, without the one-machine stack")
    given = parser.parse_args()
    missing = [program for program in ("debootstrap", "chroot", "unshare", "setpriv") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        print(
            f"image-check needs root and {', '.join(missing) or 'nothing else'} (Debian's packages debootstrap and util-linux)",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="rflow-image-") as made:
        folder = (given.folder or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        extras = {} if given.no_demo else {"EXTRAS": "[embedded,data,tracing]"}
        built = Builder(folder, context(folder), extras).build(read_dockerfile(DOCKERFILE))
        size = subprocess.run(["du", "-sm", str(built.root)], capture_output=True, text=True, check=True).stdout.split()[0]
        say(f"{size} MB")
        found = examine(built, [] if given.no_demo else ["demo", "--check"])
    for what, holds in found:
        print(f"  {'✓' if holds else '✗'} {what}")
    return 0 if all(holds for _, holds in found) else 1


if __name__ == "__main__":
    sys.exit(main())
