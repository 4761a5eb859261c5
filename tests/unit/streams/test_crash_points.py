"""No step without a crash point: the code is read from its roots on, call by call, and what reaches Redis, Kafka or ClickHouse is listed
with the crash points between. A call to them that is not known here fails, and so does one without a point before and after it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from streams.crash import CrashPoint

ROOT = Path(__file__).parents[3]
PACKAGES = ("streams", "sinks", "warroom", "deploy")

PARTS: dict[str, tuple[str, dict[str, str]]] = {
    "Shard": ("streams/shard.py", {"self._store": "ShardStore", "self._publisher": "Publisher"}),
    "ShardStore": ("streams/store.py", {}),
    "Publisher": ("streams/publisher.py", {}),
    "_Loop": ("sinks/sink.py", {"self._writer": "Writer"}),
    "Writer": ("sinks/writer.py", {}),
}
"""The classes that are walked: where they stand, and which of their attributes are others of them."""

CHANGES = {
    "ShardStore.write: self._link.call",
    "Publisher._produce: self._producer.produce",
    "Writer.agree: self._store.write_intent",
    "Writer._settle: self._store.insert",
    "Writer.store: self._store.write_done",
    "_Loop._finish: self._reader.commit",
    "_Loop._migrate: migrate",
}
"""What changes something outside."""

LOOKS = {
    "self._link.call",  # but in `write`; `fence` writes what nobody reads
    *("self._inspector.published", "self._inspector.begin", "self._durability.look", "self._durability.reached"),
    *("self._store.last_block", "self._store.highest_block", "self._store.forgotten"),
    *("self._reader.check_topics", "self._reader.seek", "self._reader.ends", "self._reader.expect", "self._reader.read"),
}
"""What only looks."""

INSIDE = {"self._check", "self._link.moved", "asyncio.sleep", "self._reader.close"}
"""Awaited or called on the outside's side, and neither of the two."""

SEVERAL = {CrashPoint.STEP_AFTER_READ: 2}
"""Points that stand in more than one place: a step of the users' move to a new ladder is a step."""


def functions(tree: ast.AST) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {node.name: node for node in ast.iter_child_nodes(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


CLASSES = {
    name: functions(
        next(node for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.ClassDef) and node.name == name)
    )
    for name, (path, _) in PARTS.items()
}


class Walk:
    """The events of one root in the order of the code: `change: ...`, `look: ...`, `point: ...`."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._stack: list[tuple[str, str]] = []

    def method(self, owner: str, name: str) -> None:
        if (owner, name) in self._stack:
            return
        self._stack.append((owner, name))
        node = CLASSES[owner][name]
        self._body(node.body, owner, {**functions(node), **{k: v for block in ast.walk(node) for k, v in functions(block).items()}})
        self._stack.pop()

    def _body(self, nodes: Iterable[ast.AST], owner: str, local: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> None:
        for node in nodes:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    continue
                case ast.While(test=ast.Constant(value=True)):
                    self._body(node.body, owner, local)  # again only if it did not take
                case ast.For() | ast.AsyncFor() | ast.While():
                    first, again = ([node.test], [node.test]) if isinstance(node, ast.While) else ([node.iter], [])
                    self._body([*first, *node.body, *again, *node.body], owner, local)
                case ast.Call():
                    self._body(ast.iter_child_nodes(node), owner, local)
                    self._call(node, owner, local)
                case ast.Await(value=ast.Call() as call):
                    before = len(self.events)
                    self._body([call], owner, local)
                    name = ast.unparse(call.func)
                    assert len(self.events) > before or self._is_known(name, owner, local), f"{self._at(name)}: neither change nor look"
                case _:
                    self._body(ast.iter_child_nodes(node), owner, local)

    def _call(self, call: ast.Call, owner: str, local: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> None:
        name = ast.unparse(call.func)
        place, _, method = name.rpartition(".")
        if name == "crash_point":
            self.events.append(f"point: {ast.unparse(call.args[0])}")
        elif self._at(name) in CHANGES:
            self.events.append(f"change: {self._at(name)}")
        elif name in LOOKS:
            self.events.append(f"look: {self._at(name)}")
        elif name in local:
            self._body(local[name].body, owner, {key: value for key, value in local.items() if key != name})
        elif place == "self" and method in CLASSES[owner]:
            self.method(owner, method)
        elif place in PARTS[owner][1]:
            self.method(PARTS[owner][1][place], method)
        else:
            assert not name.startswith(("self._link.", "self._producer.pr", "self._inspector.", "self._reader.", "self._store.")) or (
                name in INSIDE
            ), f"{self._at(name)}: neither change nor look"

    def _is_known(self, name: str, owner: str, local: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> bool:
        place, _, method = name.rpartition(".")
        return name in INSIDE or name in local or (place == "self" and method in CLASSES[owner]) or place in PARTS[owner][1]

    def _at(self, name: str) -> str:
        return f"{'.'.join(self._stack[-1])}: {name}"


def passings() -> Iterator[tuple[str, str]]:
    """(what is passed, where) of every crash point in the code."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "crash_point":
                    yield ast.unparse(node.args[0]), str(path.relative_to(ROOT))


def test_every_crash_point_stands_in_the_code_at_one_place() -> None:
    found = Counter(name for name, _ in passings())
    assert found == {f"CrashPoint.{point.name}": SEVERAL.get(point, 1) for point in CrashPoint}


@pytest.mark.parametrize(
    ("owner", "root"),
    [("Shard", "open"), ("Shard", "_load"), ("Shard", "_try_step"), ("Shard", "_try_move"), ("_Loop", "run"), ("_Loop", "_store")],
)
def test_a_crash_point_stands_between_any_two_steps_of_which_one_changes_something(owner: str, root: str) -> None:
    walk = Walk()
    walk.method(owner, root)
    assert any(event.startswith("change") for event in walk.events)
    bare = [(a, b) for a, b in pairwise(walk.events) if not {a[:5], b[:5]} & {"point"} and "chang" in (a[:5], b[:5])]
    assert bare == []
    assert walk.events[-1].startswith("point") or walk.events[-1].startswith("look")


def test_what_is_acknowledged_is_a_step_of_its_own() -> None:
    done = next(node for node in ast.walk(CLASSES["Shard"]["_publish"]) if isinstance(node, ast.FunctionDef) and node.name == "done")
    assert ast.unparse(done.body[0]) == "crash_point(CrashPoint.PUBLISH_ACKNOWLEDGED)"


def test_every_statement_that_sets_the_database_up_is_followed_by_a_crash_point() -> None:
    tree = ast.parse((ROOT / "sinks" / "migrate.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    followed = [call.args[0] for call in calls if ast.unparse(call.func) == "_carried_out"]
    told = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in ("command", "insert")]
    assert followed
    assert [ast.unparse(call) for call in told if call not in followed and "SELECT" not in ast.unparse(call)] == []
