"""JSON Schema (2020-12) of msgspec types, with the field descriptions of `descriptions.yaml`.

Of our own making, so that the files written do not change with a library's version, and array-like records name their items.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as mi

from schemas.fields import Rfc3339

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

INSTANT = (
    r"^(19[7-9][0-9]|2[0-2][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]"
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339 with an offset, from 1970 to 2299, without leap seconds."""


class SchemaWriter:
    """Writes the schemas of types; `definitions` gathers, by name, the records and enumerations that they refer to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._descriptions = load_descriptions()

    def schema(self, type_: object) -> Schema:
        """The schema of a type, of a record a reference into `definitions`. Raises LookupError where a field lacks a description."""
        return self._of(mi.type_info(type_))

    def _of(self, info: mi.Type) -> Schema:
        if isinstance(info, mi.Metadata):
            return self._of(info.type) | (info.extra_json_schema or {})
        if isinstance(info, mi.StructType | mi.EnumType):
            return self._reference(info)
        if isinstance(info, mi.UnionType):
            null_last = sorted(info.types, key=lambda member: isinstance(member, mi.NoneType))
            return {"anyOf": [self._of(member) for member in null_last]}
        if isinstance(info, mi.DictType):
            return self._dict(info)
        if isinstance(info, mi.CollectionType):
            return {"type": "array", "items": self._of(info.item_type)}
        return _scalar(info)

    def _dict(self, info: mi.DictType) -> Schema:
        names = {key: value for key, value in self._of(info.key_type).items() if key != "type"}
        schema = {"propertyNames": names, "additionalProperties": self._of(info.value_type), "minProperties": info.min_length}
        return {"type": "object"} | {key: value for key, value in schema.items() if value}

    def _reference(self, info: mi.StructType | mi.EnumType) -> Schema:
        name = info.cls.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # a record may refer to itself
            self.definitions[name] = self._struct(info) if isinstance(info, mi.StructType) else _enum(info)
        return {"$ref": f"#/$defs/{name}"}

    def _struct(self, info: mi.StructType) -> Schema:
        fields = {field.encode_name: self._field(info.cls, field) for field in info.fields}
        required = [field.encode_name for field in info.fields if field.required]
        if info.array_like:
            items = [{"title": name} | schema for name, schema in fields.items()]
            return {"description": _doc(info.cls), "type": "array", "prefixItems": items, "minItems": len(required)}
        if info.tag_field is not None:
            fields = {info.tag_field: {"const": info.tag}} | fields
            required.insert(0, info.tag_field)
        schema = {"description": _doc(info.cls), "type": "object", "properties": fields, "required": required}
        return schema | ({"additionalProperties": False} if info.forbid_unknown_fields else {})

    def _field(self, cls: type, field: mi.Field) -> Schema:
        schema = describe(self._descriptions, cls, field.encode_name) | self._of(field.type)
        if field.default is not NODEFAULT and field.default is not None:
            schema["default"] = msgspec.to_builtins(field.default)
        return schema


def load_descriptions() -> dict[str, dict[str, Schema]]:
    """What `descriptions.yaml` says, by record and field."""
    text = (files("schemas") / "descriptions.yaml").read_text(encoding="utf-8")
    read = msgspec.yaml.decode(text, type=dict[str, dict[str, str | Schema]])
    return {
        record: {name: {"description": said} if isinstance(said, str) else said for name, said in fields.items()}
        for record, fields in read.items()
    }


def describe(descriptions: dict[str, dict[str, Schema]], cls: type, name: str) -> Schema:
    """What is said of a field: of its record, or of one that this extends."""
    for base in cls.__mro__:
        said = descriptions.get(base.__name__, {}).get(name)
        if said is not None:
            return said | (_rfc3339_pattern() if said.get("format") == "date-time" else {})
    raise LookupError(f"expected a description of {cls.__name__}.{name} in descriptions.yaml, found none")


def _rfc3339_pattern() -> Schema:
    info = mi.type_info(Rfc3339)
    while isinstance(info, mi.Metadata):
        info = info.type
    assert isinstance(info, mi.StrType)
    return {"pattern": info.pattern}


def _scalar(info: mi.Type) -> Schema:
    schema: Schema
    if isinstance(info, mi.StrType):
        schema = {"type": "string", "minLength": info.min_length, "maxLength": info.max_length, "pattern": info.pattern}
    elif isinstance(info, mi.IntType | mi.FloatType):
        schema = {"type": "integer" if isinstance(info, mi.IntType) else "number", "minimum": info.ge, "maximum": info.le}
    elif isinstance(info, mi.DateTimeType):
        schema = {"type": "string", "format": "date-time", "pattern": INSTANT}
    elif isinstance(info, mi.LiteralType):
        schema = {"enum": list(info.values)}
    elif isinstance(info, mi.BoolType):
        schema = {"type": "boolean"}
    elif isinstance(info, mi.NoneType):
        schema = {"type": "null"}
    elif isinstance(info, mi.AnyType) or (isinstance(info, mi.CustomType) and info.cls is object):
        schema = {}
    else:
        raise TypeError(f"expected a type that JSON Schema can tell, found {info}")
    return {key: value for key, value in schema.items() if value is not None}


def _enum(info: mi.EnumType) -> Schema:
    return {"description": _doc(info.cls), "type": "string", "enum": [member.value for member in info.cls]}


def _doc(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())
