"""What a YAML reader says of a mistake: what was expected, by the type, and what was found, by the text."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from msgspec import inspect as mi

_SHOWN = 60
_NOUNS = {"int": "the number", "float": "the number", "bool": "the truth value", "timestamp": "the date"}


def expected(info: mi.Type, patterns: Mapping[str, str]) -> str:
    """What a type wants, as a noun phrase; `patterns` says regular expressions in words."""
    info = plain(info)
    if isinstance(info, mi.StrType):
        return _text(info, patterns)
    if isinstance(info, mi.IntType | mi.FloatType):
        return ("a whole number" if isinstance(info, mi.IntType) else "a number") + _range(info.ge, info.le)
    if isinstance(info, mi.BoolType):
        return "true or false"
    if isinstance(info, mi.LiteralType | mi.EnumType):
        return f"one of {', '.join(options(info))}"
    if isinstance(info, mi.StructType):
        return f"a mapping with {_fields(info)}"
    if isinstance(info, mi.DictType):
        return "a mapping"
    return "a list"


def found(node: yaml.Node, *, text_wanted: bool = False) -> str:
    """What stands there; `text_wanted` adds how to make a text of it."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return "nothing"
    shown = node.value if len(node.value) <= _SHOWN else node.value[:_SHOWN] + "..."
    if kind not in _NOUNS:
        return repr(shown)
    return f"{_NOUNS[kind]} {shown}" + (" (a text only in quotes)" if text_wanted else "")


def options(info: mi.LiteralType | mi.EnumType) -> list[str]:
    """The values of an enumeration, as they are written."""
    return [str(value) for value in info.values] if isinstance(info, mi.LiteralType) else [e.value for e in info.cls]


def plain(info: mi.Type) -> mi.Type:
    """The type without its annotations, and without `None` where it is optional."""
    while isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.UnionType):
        (one,) = (member for member in info.types if not isinstance(member, mi.NoneType))
        return plain(one)
    return info


def _text(info: mi.StrType, patterns: Mapping[str, str]) -> str:
    if info.pattern is not None:
        return patterns.get(info.pattern, f"a text that matches {info.pattern}")
    if info.max_length is not None:
        return f"a text of {info.min_length or 0} to {info.max_length} characters"
    return "a text"


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return f" of at most {most}" if most is not None else ""


def _fields(info: mi.StructType) -> str:
    needed = [field.encode_name for field in info.fields if field.required]
    free = [field.encode_name for field in info.fields if not field.required]
    return ", ".join(needed) + (f" (optional: {', '.join(free)})" if free else "")
