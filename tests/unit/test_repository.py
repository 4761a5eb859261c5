"""What holds of the repository as a whole: nothing of one machine in it, every dependency pinned, and a README that tells the truth."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.cli.commands import app_of
from deploy.settings import Settings
from schemas.generate import generated

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "schemas/README.md",
    "sources/README.md",
    "bench/README.md",
    "deploy/GUARANTEES.md",
    "deploy/OPERATING.md",
    "deploy/kubernetes/README.md",
    "deploy/RUNBOOK.md",
    "deploy/RUNBOOK_ALARMS.md",
    "deploy/RUNBOOK_SUBSCRIPTIONS.md",
    "deploy/RUNBOOK_COLLECTOR.md",
)
LONGEST = 500

HOSTS = {
    "127.0.0.1",
    "localhost",
    "json-schema.org",  # the dialect of the schemas
    "www.w3.org",  # XML's
    "maven.apache.org",  # the namespace of a pom
    "www.apache.org",  # the licence
    "keepachangelog.com",
    "semver.org",
    "mermaid.js.org",
}
"""Whom an address in these files may name; beside them, names that are examples by definition."""
EXAMPLE_HOST = re.compile(r"(.*\.)?example(\.com|\.org|\.net)?|[a-z]+")

ADDRESS = re.compile(r"https?://(?:[^/\s@\"'<>]*@)?([A-Za-z0-9.-]*[A-Za-z0-9])")
REGISTRY_OPTIONS = re.compile(
    r"--?(?:extra-)?index[-]url|--find[-]links|--trusted[-]host|PIP_(?:EXTRA_)?INDEX|<repositor(?:y|ies)>|<mirror[>]"
)
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:home|Users|root|work|mnt)/[\w.-]+")


def tracked() -> Iterator[tuple[str, str]]:
    """Every text file of the repository, new ones included, with its text."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in sorted(set(names) - {""}):
        path = ROOT / name
        if path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                yield name, content.decode(errors="replace")


@cache
def texts() -> dict[str, str]:
    return dict(tracked())


@cache
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


@cache
def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def required() -> list[Requirement]:
    """Everything pyproject.toml names: to run, of every extra, to build."""
    extras = project()["project"]["optional-dependencies"].values()
    lines = [*project()["project"]["dependencies"], *(line for extra in extras for line in extra), *project()["build-system"]["requires"]]
    return [Requirement(line) for line in lines]


@cache
def commands() -> dict[str, Any]:
    group = typer.main.get_command(app_of())
    assert isinstance(group, typer.core.TyperGroup)
    return dict(group.commands)


def code(document: str) -> Iterator[str]:
    """What a document gives as code: the lines of its shell blocks, and what stands between backticks elsewhere."""
    text = texts()[document]
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language in ("sh", "bash", "console"):
            yield from (line.removeprefix("$ ").partition(" # ")[0].strip() for line in block.splitlines())
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", prose)


def invocations(document: str, program: str) -> list[list[str]]:
    """Every call of a program in a document, without what leads to it (a path, variables) and what follows (a pipe)."""
    found = []
    for line in code(document):
        words = shlex.split(line.replace("[", "'['").replace("]", "']'")) if f"{program} " in line else []
        for i, word in enumerate(words[:-1]):
            leads = all("=" in before or before in ("&&", "|") for before in words[max(0, i - 1) : i])
            if word.rpartition("/")[2] == program and leads:
                end = next((j for j in range(i, len(words)) if words[j] in ("|", "&&", "&", ">", ";")), len(words))
                found.append(words[i + 1 : end])
    return found


def test_addresses_name_no_host_but_the_known() -> None:
    strange = {
        (name, host)
        for name, text in texts().items()
        for host in ADDRESS.findall(text)
        if host.lower() not in HOSTS and not EXAMPLE_HOST.fullmatch(host.lower())
    }
    assert not strange


def test_no_file_says_where_packages_come_from() -> None:
    assert not [(name, found) for name, text in texts().items() for found in REGISTRY_OPTIONS.findall(text)]


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [(name, path) for name, text in texts().items() for path in MACHINE_PATH.findall(text)]
    assert not found


def test_no_file_is_longer_than_a_reader_bears() -> None:
    written = {f"schemas/{path}" for path in generated()}
    long = {name: text.count("\n") for name, text in texts().items() if name not in written and text.count("\n") > LONGEST}
    assert not long


def test_every_file_ends_with_a_line_end() -> None:
    assert not [name for name, text in texts().items() if text and not text.endswith("\n") and not name.endswith((".bin", ".json"))]


def test_constraints_are_pins_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert not [line for line in lines if line and not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line)]
    names = [line.partition("==")[0].lower() for line in lines if not line.startswith("#")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("need", required(), ids=str)
def test_every_dependency_is_pinned_to_a_version_it_allows(need: Requirement) -> None:
    assert need.specifier.contains(pins()[canonicalize_name(need.name)])


def test_what_the_dependencies_bring_is_pinned_too() -> None:
    unpinned, seen = set(), set()
    waiting = [(need, "") for need in required()]
    while waiting:
        need, extra = waiting.pop()
        name = canonicalize_name(need.name)
        if (name, extra) in seen or (need.marker and not need.marker.evaluate({"extra": extra})):
            continue
        seen.add((name, extra))
        if name not in pins():
            unpinned.add(name)
        try:
            brings = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # the build's own need not be installed where the suite runs
        waiting += [(Requirement(line), wanted) for line in brings for wanted in ("", *need.extras)]
    assert not unpinned


def test_the_wheel_holds_every_package() -> None:
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    code_folders = {name.partition("/")[0] for name in texts() if name.endswith(".py")}
    assert set(packages) == code_folders - {"tests", "bench", "examples"}


def test_the_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `rflow ([a-z]+)", texts()["README.md"], re.MULTILINE)
    assert sorted(listed) == sorted(commands())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_documents_exist(document: str) -> None:
    for words in invocations(document, "rflow"):
        if words[0].startswith("-"):
            continue
        for name in words[0].split("|"):  # as in `rflow init|worker|sink`
            assert name in commands(), f"rflow {' '.join(words)}"
            command, rest = commands()[name], words[1:]
            while isinstance(command, typer.core.TyperGroup) and rest and rest[0] in command.commands:
                command, rest = command.commands[rest[0]], rest[1:]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            used = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
            assert used <= known | {"--help"}, f"rflow {' '.join(words)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_in_documents_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", texts()["Makefile"], re.MULTILINE))
    assert {words[0] for words in invocations(document, "make")} <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_in_documents_exist(document: str) -> None:
    known = {f"RFLOW_{name.upper()}" for name in Settings.model_fields} | {"RFLOW_CONFIG"}
    assert set(re.findall(r"\bRFLOW_[A-Z_]*[A-Z]\b", texts()[document])) <= known


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_in_documents_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", texts()[document])
    assert not [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_named_in_documents_exist(document: str) -> None:
    named = {word.rstrip("/") for word in code(document) if re.fullmatch(r"(?:[\w.-]+/)+[\w.-]*\.(?:py|yaml|sql|conf|xml|md)", word)}
    places = (ROOT, (ROOT / document).parent)
    assert not [name for name in named if not any((place / name).exists() for place in places)]


def test_the_changelog_tells_of_this_version() -> None:
    assert re.search(rf"^## \[{re.escape(project()['project']['version'])}\]", texts()["CHANGELOG.md"], re.MULTILINE)
