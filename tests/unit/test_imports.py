"""The one-way rule: schemas <- sources, streams <- sinks <- warroom <- deploy, and only deploy knows its surroundings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MAY_IMPORT = {
    "schemas": set[str](),
    "sources": {"schemas"},
    "streams": {"schemas"},
    "sinks": {"schemas", "sources", "streams"},
    "warroom": {"schemas", "sources", "streams", "sinks"},
    "deploy": {"schemas", "sources", "streams", "sinks", "warroom"},
}
"""The packages, in the order of the data's way, and which others each may use."""

BESIDE = ("tests", "bench", "examples")
"""Folders that use the packages and that no package uses."""

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv", "dotenv", "pydantic_settings"}
KNOW_FAUST = {"streams.app", "streams.transport", "streams.member", "streams.member_auth"}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


FILES = {module_of(path): path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {module: ast.parse(path.read_bytes(), str(path)) for module, path in FILES.items()}
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WITH_HELPER = sorted((ROOT / "examples/helper").glob("*.py"))


def imported(node: ast.AST) -> Iterator[str]:
    """The full names of what one statement or call imports: `a.b` and, for what may be a module in it, `a.b.c`."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=None):
            yield "."
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from (f"{module}.{alias.name}" for alias in names)
        case ast.ImportFrom():
            yield "."
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(name)), *_]
        ):
            yield name


def imports(tree: ast.AST) -> set[str]:
    return {name for node in ast.walk(tree) for name in imported(node)}


def top(name: str) -> str:
    return name.partition(".")[0]


def surroundings(tree: ast.AST) -> Iterator[str]:
    """Where a file reads the environment, or names one of rflow's variables in a text that is no docstring."""
    told = {id(statement.value) for statement in ast.walk(tree) if isinstance(statement, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in ENVIRONMENT:
                yield f"line {node.lineno}: {name}"
            case ast.Import() | ast.ImportFrom() if found := {part for name in imported(node) for part in name.split(".")} & ENVIRONMENT:
                yield f"line {node.lineno}: {', '.join(sorted(found))}"
            case ast.Constant(value=str(text)) if "RFLOW_" in text and id(node) not in told:
                yield f"line {node.lineno}: {text!r}"


def at_start(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not those of functions, nor those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from at_start(node)


def test_every_package_has_files() -> None:
    assert {top(module) for module in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_one_way(module: str) -> None:
    own = top(module)
    forbidden = ({*MAY_IMPORT, *BESIDE} - MAY_IMPORT[own]) - {own}
    assert sorted(name for name in imports(TREES[module]) if top(name) in forbidden) == []


@pytest.mark.parametrize("module", FILES)
def test_imports_are_absolute(module: str) -> None:
    assert "." not in imports(TREES[module])


@pytest.mark.parametrize("module", [module for module in FILES if top(module) != "deploy"])
def test_only_deploy_reads_the_environment(module: str) -> None:
    assert list(surroundings(TREES[module])) == []


@pytest.mark.parametrize("module", [module for module in FILES if top(module) in ("schemas", "sources", "streams", "sinks", "warroom")])
def test_only_the_transport_knows_faust(module: str) -> None:
    assert module in KNOW_FAUST or {top(name) for name in imports(TREES[module])}.isdisjoint({"faust", "mode", "aiokafka"})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_one_file_to_copy(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    assert {top(name) for name in imports(tree)}.isdisjoint({*MAY_IMPORT, *BESIDE})
    assert list(surroundings(tree)) == []


@pytest.mark.parametrize("path", WITH_HELPER, ids=lambda path: path.name)
def test_an_example_with_the_helper_needs_the_contract_alone(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    assert {top(name) for name in imports(tree)} & {*MAY_IMPORT, *BESIDE} == {"schemas"}
    assert list(surroundings(tree)) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        named = {name for node in at_start(tree) for name in imported(node)}
        graph[module] = {found for name in named for found in (name, name.rpartition(".")[0]) if found in FILES} - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os\nos.environ['X']", ["line 2: environ"]),
        ("from os import getenv", ["line 1: getenv"]),
        ("from pydantic_settings import BaseSettings", ["line 1: pydantic_settings"]),
        ("x = 'RFLOW_PARTITIONS'", ["line 1: 'RFLOW_PARTITIONS'"]),
        ("x = f'set RFLOW_{name}'", ["line 1: 'set RFLOW_'"]),
        ("'''Set by RFLOW_PARTITIONS.'''\nimport os\nos.getpid()", []),
    ],
)
def test_what_reads_the_environment_is_seen(code: str, found: list[str]) -> None:
    assert list(surroundings(ast.parse(code))) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import deploy.settings as s", {"deploy.settings"}),
        ("def f():\n    from streams import fold, step", {"streams.fold", "streams.step"}),
        ("from . import fold", {"."}),
        ("from .fold import apply", {"."}),
        ("import importlib\nimportlib.import_module('deploy.cli')", {"importlib", "deploy.cli"}),
    ],
)
def test_every_way_to_import_is_seen(code: str, found: set[str]) -> None:
    assert imports(ast.parse(code)) == found
