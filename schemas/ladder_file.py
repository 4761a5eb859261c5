"""A ladder from its YAML file; every mistake is told with the line it stands on and what was expected."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from schemas.ladder import Condition, Ladder
from schemas.touchpoint import CATALOGUE

SHIPPED = ("5r", "aipl")


class LadderError(ValueError):
    """A ladder file that cannot be used; the message has a line `file:line: expected ..., found ...` for each mistake."""


def load_ladder(name_or_path: str) -> Ladder:
    """The shipped ladder of that name, or the one in the file. Raises LadderError."""
    if name_or_path in SHIPPED:
        shipped = files("schemas") / f"{name_or_path}.yaml"
        return parse_ladder(shipped.read_text(encoding="utf-8"), f"{name_or_path}.yaml")
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LadderError(f"expected one of {', '.join(SHIPPED)} or a readable ladder file, found {name_or_path!r}: {error}") from None
    return parse_ladder(text, str(path))


def parse_ladder(text: str, file: str) -> Ladder:
    """The ladder that `text` describes; `file` is what messages call it. Raises LadderError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LadderError(f"{file}:{line}: expected YAML, found: {error.problem}") from None
    except yaml.YAMLError as error:
        raise LadderError(f"{file}:1: expected YAML, found: {error}") from None
    try:
        ladder = msgspec.convert(values, Ladder)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise LadderError(f"{file}:{_line(root, path.rstrip('`'))}: {message}{' at ' + path[1:-1] if path else ''}") from None
    mistakes = [f"{file}:{_line(root, path)}: {message}" for path, message in _mistakes(ladder)]
    if mistakes:
        raise LadderError("\n".join(mistakes))
    return ladder


def _mistakes(ladder: Ladder) -> list[tuple[str, str]]:
    """What the types cannot say: (path, message) of each mistake."""
    found: list[tuple[str, str]] = []
    if len(ladder.layers) < 2:
        found.append((".layers", f"expected at least two layers, found {len(ladder.layers)}"))
    ids = [layer.id for layer in ladder.layers]
    for i, layer in enumerate(ladder.layers):
        if layer.id in ids[:i]:
            found.append((f".layers[{i}].id", f"expected an id of its own, found {layer.id!r} again"))
        if i == 0 and layer.any:
            found.append((".layers[0].any", "expected no condition for the lowest layer: it holds when no other does"))
        if i > 0 and not layer.any:
            found.append((f".layers[{i}]", f"expected at least one condition under `any` for {layer.id}"))
        found += _unknown_evidence(ladder, layer.any, f".layers[{i}].any")
    for name, evidence in ladder.evidence.items():
        for j, type_ in enumerate(evidence.types or ()):
            if CATALOGUE.get(type_) is not evidence.topic:
                known = ", ".join(t for t, kind in CATALOGUE.items() if kind is evidence.topic)
                found.append((f".evidence.{name}.types[{j}]", f"expected one of {known}, found {type_!r}"))
        twins = [other for other, e in ladder.evidence.items() if other < name and _share_types(e, evidence)]
        if twins:
            found.append((f".evidence.{name}", f"expected each type to carry one evidence, found types shared with {twins[0]!r}"))
    found += _bad_zone(ladder.time_zone, ".time_zone")
    for brand, override in ladder.brands.items():
        at = f".brands.{brand}"
        if override.time_zone is not None:
            found += _bad_zone(override.time_zone, f"{at}.time_zone")
        for layer_id, conditions in override.layers.items():
            if layer_id not in ids[1:]:
                found.append((f"{at}.layers.{layer_id}", f"expected one of {', '.join(ids[1:])}, found {layer_id!r}"))
            found += _unknown_evidence(ladder, conditions, f"{at}.layers.{layer_id}")
    return found


def _share_types(one: Any, other: Any) -> bool:
    if one.topic is not other.topic:
        return False
    return one.types is None or other.types is None or bool(set(one.types) & set(other.types))


def _unknown_evidence(ladder: Ladder, conditions: tuple[Condition, ...], at: str) -> list[tuple[str, str]]:
    return [
        (f"{at}[{j}].evidence", f"expected one of {', '.join(ladder.evidence)}, found {condition.evidence!r}")
        for j, condition in enumerate(conditions)
        if condition.evidence not in ladder.evidence
    ]


def _bad_zone(name: str, at: str) -> list[tuple[str, str]]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [(at, f"expected an IANA time zone such as Asia/Shanghai, found {name!r}")]
    return []


def _line(root: yaml.Node | None, path: str) -> int:
    """The 1-based line of the node at a path such as `.layers[2].any`, or of the deepest part of it that exists."""
    node = root
    line = 1
    for key, index in re.findall(r"\.([^.\[\]]+)|\[([^\]]*)\]", path):
        step: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == key or (index == "..." and key == ""):
                    step, line = value, name.start_mark.line + 1
                    break
        elif isinstance(node, yaml.SequenceNode) and index.isdigit() and int(index) < len(node.value):
            step = node.value[int(index)]
            line = step.start_mark.line + 1
        if step is None:
            break
        node = step
    return line
