"""The runbook is whole: every stop reason, line at warning or error, metric and alarm is in it, and nothing that is not told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from streams import metrics

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "sources", "streams", "sinks", "warroom", "deploy")
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "deploy").glob("RUNBOOK*.md")))
LEVELS = {"warning", "error", "critical", "exception"}
LOGGERS = {"log", "_log"}
ROOTS = {"RflowError": "streams", "SinkError": "sinks"}
"""The errors that stop a shard or end a worker or sink descend from these; their messages stand in these packages."""
PASSES = {"Conflict", "StoreAway", "Overtaken"}
"""Of those, what is tried again and ends nothing."""
BEGINNINGS = {"StackError", "StartError", "SettingsError", "AccountsError", "RightMissing"}
"""The errors with which other processes cannot begin, or end: their own words are enough, the runbook names them."""
SUFFIXES = ("", "_total", "_bucket")

TREES = {path: ast.parse(path.read_bytes()) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def template(node: ast.expr) -> str | None:
    """A literal text with `…` for what is put in, None for another expression."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"%[sdr]", "…", text)
        case ast.JoinedStr(values=values):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in values)
    return None


def told(path: Path) -> Iterator[str]:
    """The message of every log call of a module; of a function that logs its first argument, those of its callers."""
    for scope in ast.walk(TREES[path]):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = scope.args.args[0].arg if scope.args.args else ""
        for node in ast.walk(scope):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=logger), attr=level), args=[message, *_]) if (
                    logger in LOGGERS and level in LEVELS
                ):
                    if isinstance(message, ast.Name) and message.id == first:
                        yield from passed(path, scope.name)
                    else:
                        text = template(message)
                        assert text not in (None, "…"), f"{path}:{node.lineno}: expected a literal message, which can be searched for"
                        yield str(text)


def passed(path: Path, function: str) -> Iterator[str]:
    for node in ast.walk(TREES[path]):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[message, *_]) if name == function:
                yield str(template(message))


def descendants(root: str) -> set[str]:
    """A class and those that inherit from it, by name."""
    found = {root}
    while True:
        classes = (node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        more = {node.name for node in classes if any(isinstance(base, ast.Name) and base.id in found for base in node.bases)}
        if more <= found:
            return found
        found |= more


def ended() -> Iterator[str]:
    """The message of every error that stops a shard or ends a worker or sink."""
    names = {root: descendants(root) - PASSES for root in ROOTS}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[message, *_]):
                    if any(name in names[root] and path.is_relative_to(ROOT / ROOTS[root]) for root in ROOTS):
                        yield from (text for text in [template(message)] if text)
                case ast.Call(func=ast.Attribute(attr="_fail"), args=[message, *_]):
                    yield str(template(message))


LINES = sorted({message for path in TREES for message in told(path)})
STOPS = sorted(set(ended()))
TITLES = re.findall(r"^### `(.+)`$", TEXT, re.MULTILINE)
METRICS = {
    f"{metric._name}_total" if isinstance(metric, Counter) else metric._name
    for metric in vars(metrics).values()
    if isinstance(metric, Counter | Gauge | Histogram)
}
RULES = [
    rule
    for file in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALARMS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
EXPRESSIONS = [re.sub(r"\w+(?::\w+)+", lambda name: f"({RECORDED[name[0]]})", rule["expr"]) for rule in ALARMS.values()]
"""What alarms ask, with what is recorded written out."""
ALARM_PAGE = (ROOT / "deploy" / "RUNBOOK_ALARMS.md").read_text(encoding="utf-8")
LOOKED_AT = set(re.findall(r"rflow_\w+", "".join(re.findall(r"^Only for looking at: (?:.+\n)+", TEXT, re.MULTILINE))))


def normal(message: str) -> str:
    return re.sub(r"…(?:\W?…)*", "…", message)


@pytest.mark.parametrize("message", LINES)
def test_every_line_at_warning_or_error_is_in_the_runbook(message: str) -> None:
    assert message in TITLES, f"deploy/RUNBOOK.md: expected an entry with the title ### `{message}`"


@pytest.mark.parametrize("message", STOPS)
def test_every_error_that_stops_a_shard_or_a_process_is_in_the_runbook(message: str) -> None:
    assert any(normal(title) in normal(message) for title in TITLES), (
        f"deploy/RUNBOOK.md: expected an entry whose title is a part of: {message}"
    )


@pytest.mark.parametrize("title", TITLES)
def test_every_message_in_the_runbook_is_one_of_the_code(title: str) -> None:
    assert title in LINES or any(normal(title) in normal(message) for message in STOPS)
    assert len(re.sub(r"\W", "", title)) >= 5, "too little to search for"


def test_entries_stand_where_they_are_looked_for() -> None:
    for part in re.split(r"^## ", TEXT, flags=re.MULTILINE):
        first = re.findall(r"(?<!`\n)^### `(.+)`$", part, re.MULTILINE)
        letters = [re.sub(r"[^a-z0-9]+", " ", title.lower()).strip() for title in first]
        assert letters == sorted(letters)


def test_every_class_of_error_is_named() -> None:
    names = {name for root in ROOTS for name in descendants(root)} - PASSES - {"ShardStopped", "SinkError", "NotReady"}
    for root in BEGINNINGS:
        names |= descendants(root) - {"StackInterruptedError"}
    assert not {name for name in names if not re.search(rf"\b{name}\b", TEXT)}


def test_every_entry_says_what_it_means_what_is_lost_what_to_do_when_it_is_over_and_what_tries_it() -> None:
    entries = re.findall(r"^### `.+`\n((?:(?!#).*\n)*)", TEXT, re.MULTILINE)
    written = [entry.strip() for entry in entries if entry.strip()]
    assert written
    assert not [entry for entry in written if re.findall(r"^- \*\*(.+?)\*\*", entry, re.MULTILINE) != FIELDS]


FIELDS = ["Means", "Lost?", "Do", "Over when", "Tried"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"test_\w+\.py(?:::\w+)?", TEXT))))
def test_the_tests_that_it_names_exist(name: str) -> None:
    file, _, function = name.partition("::")
    found = list((ROOT / "tests").rglob(file))
    assert found
    assert not function or f"def {function}(" in "".join(path.read_text() for path in found)


def test_every_metric_has_an_alarm_or_is_said_to_need_none() -> None:
    alarmed = {name for expression in EXPRESSIONS for name in re.findall(r"\brflow_\w+", expression)}
    declared = {name + suffix: name for name in METRICS for suffix in SUFFIXES}
    assert not {name for name in alarmed if name not in declared}, "an alarm on what no process tells"
    with_alarm = {declared[name] for name in alarmed}
    assert with_alarm | LOOKED_AT == METRICS
    assert not with_alarm & LOOKED_AT


def test_labels_of_alarms_are_those_of_their_metrics() -> None:
    labels = {label for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram) for label in metric._labelnames}
    named = {
        name.strip()
        for expression in EXPRESSIONS
        for group in re.findall(r"\b(?:by|on) \((.*?)\)", expression)
        for name in group.split(",")
    }
    named |= {label for expression in EXPRESSIONS for label in re.findall(r"(\w+)[!=]~?\"", expression)}
    assert named <= labels | {"le", "job", "instance"}


def test_every_alarm_has_its_entry_and_every_entry_its_alarm() -> None:
    entries = dict(re.findall(r"^### (\w+)\n((?:(?!#).*\n)*)", ALARM_PAGE, re.MULTILINE))
    assert set(entries) == set(ALARMS)
    assert not [name for name, entry in entries.items() if re.findall(r"^- \*\*(.+?)\*\*", entry, re.MULTILINE) != ["Means", "Do"]]


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_every_alarm_says_how_grave_it_is_and_leads_to_its_entry(alarm: str) -> None:
    rule = ALARMS[alarm]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["runbook_url"].endswith(f"/RUNBOOK_ALARMS.md#{alarm.lower()}")


@pytest.mark.parametrize("words", sorted(set(re.findall(r"^- \*\*Do\*\*: `(?!rflow |/)([^`]+)`", ALARM_PAGE, re.MULTILINE))))
def test_the_messages_that_alarms_lead_to_have_an_entry(words: str) -> None:
    assert any(words in title for title in TITLES)
