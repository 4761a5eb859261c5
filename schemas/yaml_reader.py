"""YAML into a msgspec struct. Every mistake is told at once, each as `file:line: expected ..., found ...`.

msgspec alone stops at the first mistake, knows no lines, and names neither the key of a dictionary nor a key given twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec
import yaml
from msgspec import inspect as mi

from schemas.yaml_words import expected, found, options, plain

T = TypeVar("T")
KeyPath = tuple[str | int, ...]


class MistakesError(ValueError):
    """A text that is not the YAML expected; `mistakes` holds one line for each, in the order of the text."""

    def __init__(self, file: str, mistakes: list[tuple[int, str]]) -> None:
        self.mistakes = tuple(f"{file}:{line}: {message}" for line, message in sorted(dict.fromkeys(mistakes), key=lambda m: m[0]))
        super().__init__("\n".join(self.mistakes))


class Document(Generic[T]):
    """What a YAML text says, and on which lines."""

    def __init__(self, value: T, root: yaml.Node) -> None:
        self.value = value
        self._root = root

    def line(self, path: KeyPath) -> int:
        """The 1-based line of the key or item at `path`, or of the deepest part of it that is written down."""
        node, line = self._root, _line(self._root)
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            line, node = child
        return line


def read_yaml(text: str, file: str, type_: type[T], patterns: Mapping[str, str] | None = None) -> Document[T]:
    """The value that `text` describes. `file` is what messages call it; `patterns` says regular expressions in words.

    Raises MistakesError.
    """
    info = mi.type_info(type_)
    words = patterns or {}
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        at = text.count("\n", 0, error.position) + 1
        raise MistakesError(file, [(at, f"expected YAML, found the character {chr(error.character)!a}")]) from None
    except yaml.MarkedYAMLError as error:
        raise MistakesError(file, [_syntax(error)]) from None
    except RecursionError:
        raise MistakesError(file, [(1, f"expected {expected(info, words)}, found lists or mappings nested too deeply")]) from None
    if root is None:
        raise MistakesError(file, [(1, f"expected {expected(info, words)}, found an empty file")])
    reader = _Reader(loader, words)
    values = reader.value(root, info, _line(root))
    if reader.mistakes:
        raise MistakesError(file, reader.mistakes)
    try:
        return Document(msgspec.convert(values, type_), root)
    except msgspec.ValidationError as error:  # a rule of the struct's own
        raise MistakesError(file, [(_line(root), str(error))]) from None


class _Reader:
    """Walks the text and the type side by side and notes what does not fit. What it returns is good only without mistakes."""

    def __init__(self, loader: yaml.SafeLoader, words: Mapping[str, str]) -> None:
        self.mistakes: list[tuple[int, str]] = []
        self._loader = loader
        self._words = words
        self._pairs: dict[int, dict[str, tuple[int, yaml.Node]]] = {}

    def value(self, node: yaml.Node, info: mi.Type, line: int) -> Any:
        if isinstance(info, mi.UnionType) and node.tag.endswith(":null"):
            return None
        info = plain(info)
        if isinstance(info, mi.StructType) and isinstance(node, yaml.MappingNode):
            return self._struct(node, info, line)
        if isinstance(info, mi.DictType) and isinstance(node, yaml.MappingNode):
            return self._dict(node, info)
        if isinstance(info, mi.CollectionType) and isinstance(node, yaml.SequenceNode):
            return [self.value(item, info.item_type, _line(item)) for item in node.value]
        return self._scalar(node, info, line)

    def _struct(self, node: yaml.MappingNode, info: mi.StructType, line: int) -> dict[str, Any]:
        fields = {field.encode_name: field for field in info.fields}
        pairs = self._children(node)
        for name, (at, _) in pairs.items():
            if name not in fields:
                self._wrong(at, f"one of {', '.join(fields)}", f"the unknown key {name!r}")
        for name, field in fields.items():
            if field.required and name not in pairs:
                self._wrong(line, f"`{name}`, {expected(field.type, self._words)}", "none")
        return {name: self.value(child, fields[name].type, at) for name, (at, child) in pairs.items() if name in fields}

    def _dict(self, node: yaml.MappingNode, info: mi.DictType) -> dict[str, Any]:
        pairs = self._children(node)
        key = plain(info.key_type)
        assert isinstance(key, mi.StrType)
        for name, (at, _) in pairs.items():
            if not _fits(key, name):
                self._wrong(at, f"{expected(key, self._words)} as key", repr(name))
        return {name: self.value(child, info.value_type, at) for name, (at, child) in pairs.items()}

    def _children(self, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
        """The line and the value of each key, merged ones (`<<`) included; notes keys that are no text or given twice."""
        if id(node) in self._pairs:
            return self._pairs[id(node)]
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag.endswith(":merge"):
                continue
            if not key.tag.endswith(":str"):
                self._wrong(_line(key), "a text as key", found(key, text_wanted=True))
            elif key.value in lines:
                self._wrong(_line(key), "each key once", f"{key.value!r} again (first on line {lines[key.value]})")
            else:
                lines[key.value] = _line(key)
        try:
            self._loader.flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            self.mistakes.append(_syntax(error))
        pairs = {key.value: (_line(key), child) for key, child in node.value if key.tag.endswith(":str")}
        self._pairs[id(node)] = pairs
        return pairs

    def _scalar(self, node: yaml.Node, info: mi.Type, line: int) -> Any:
        value: Any = None
        if isinstance(node, yaml.ScalarNode):
            line = _line(node)
            with suppress(yaml.YAMLError, ValueError, OverflowError):  # a tag or number that YAML itself cannot take: none fits
                value = self._loader.construct_object(node)
        if not _fits(info, value):
            self._wrong(line, expected(info, self._words), found(node, text_wanted=isinstance(info, mi.StrType)))
        return value

    def _wrong(self, line: int, wanted: str, is_there: str) -> None:
        self.mistakes.append((line, f"expected {wanted}, found {is_there}"))


def _fits(info: mi.Type, value: object) -> bool:
    if isinstance(info, mi.StrType):
        return isinstance(value, str) and _fits_text(info, value)
    if isinstance(info, mi.LiteralType | mi.EnumType):
        return value in options(info)
    if isinstance(info, mi.BoolType):
        return isinstance(value, bool)
    if isinstance(info, mi.IntType | mi.FloatType):
        number = (int,) if isinstance(info, mi.IntType) else (int, float)
        return (
            isinstance(value, number)
            and not isinstance(value, bool)
            and (info.ge is None or value >= info.ge)
            and (info.le is None or value <= info.le)
        )
    return False


def _fits_text(info: mi.StrType, value: str) -> bool:
    if info.pattern is not None and not re.search(info.pattern.removesuffix("$") + r"\Z", value):
        return False
    return (info.min_length or 0) <= len(value) and (info.max_length is None or len(value) <= info.max_length)


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((_line(key), value) for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return _line(node.value[step]), node.value[step]
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _syntax(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1 if mark else 1), f"expected YAML, found a mistake of syntax: {error.problem or error.context}"
