"""Edits of a target tree in words: what `adjust` saves and what a what-if only computes. Pure.

An edit is PATH=VALUE, such as `tmall/R3/conversion_rate=8%`.

- PATH is SCOPE/LAYER/FIELD, SCOPE/owner, or `name`.
- SCOPE is as `warroom.targets.Scope.path` writes it: `tmall`, `store/sh-017`, `-/sh-017`; left out where the tree is one leaf. `*` stands
  for any channel, store or layer: `*/R3/headcount` is R3 in every leaf, `store/*/R3/headcount` R3 in each store.
- FIELD is headcount, conversion_rate or order_value (minor units).
- VALUE is a number, of a rate also `8%`; `x1.1` multiplies what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from schemas.promotion import LayerTarget, Promotion, Target
from warroom.pacing import Projection
from warroom.targets import Cell, cells, leaves, scope_of

S = TypeVar("S", bound=Struct)

FIELDS = ("headcount", "conversion_rate", "order_value")
_ANY = "*"


class EditError(ValueError):
    """An edit that cannot be read or fits nothing; the message says what was expected and what was found."""


class Edit(NamedTuple):
    """One edit: the segments of its path, and its value as it was written."""

    path: tuple[str, ...]
    value: str

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{'/'.join(self.path)}={self.value}"


def parse_edit(text: str) -> Edit:
    """`PATH=VALUE`. Raises EditError."""
    path, equals, value = text.partition("=")
    segments = tuple(path.strip().split("/"))
    if not equals or not value.strip() or not all(segments):
        raise EditError(f"expected PATH=VALUE such as tmall/R3/conversion_rate=8%, found {text!r}")
    return Edit(segments, value.strip())


def edited(promotion: Promotion, edits: Iterable[str]) -> Promotion:
    """The promotion with the edits made, one after another; version, who and when stay. Raises EditError."""
    for text in edits:
        edit = parse_edit(text)
        if edit.path == ("name",):
            promotion = _replaced(promotion, edit, name=edit.value)
        else:
            promotion = _replaced(promotion, edit, target=_edited_tree(promotion.target, edit))
    return promotion


def _edited_tree(target: Target, edit: Edit) -> Target:
    if edit.path[-1] == "owner":
        matched = [node for node in _nodes(target) if _matches(edit.path[:-1], _segments(scope_of(node).path))]
        return _mapped(target, matched, lambda node: _replaced(node, edit, owner=edit.value), edit, _owner_paths(target))
    if edit.path[-1] not in FIELDS:
        raise EditError(f"{edit.text}: expected a path that ends with {', '.join(FIELDS)} or owner, found {edit.path[-1]!r}")
    wanted = edit.path[:-1]
    matched = [leaf for leaf in leaves(target) if any(_matches(wanted, _segments(cell.path)) for cell in _cells_of(leaf))]
    return _mapped(target, matched, lambda leaf: _edited_leaf(leaf, edit), edit, _field_paths(target))


def _edited_leaf(leaf: Target, edit: Edit) -> Target:
    field = edit.path[-1]
    rows = [
        _replaced(row, edit, **{field: _value(edit, getattr(row, field), whole=field != "conversion_rate")})
        if _matches(edit.path[:-1], _segments(Cell(scope_of(leaf), row.layer).path))
        else row
        for row in leaf.layers
    ]
    return _replaced(leaf, edit, layers=tuple(rows))


def _value(edit: Edit, before: float, *, whole: bool) -> float:
    """The value an edit asks for. Raises EditError."""
    text = edit.value.replace(",", "").replace("_", "")
    times, percent = text[:1] in ("x", "×"), text.endswith("%")
    if percent and (whole or times):
        raise EditError(f"{edit.text}: expected a number or a factor such as x1.1, found a percentage")
    try:
        number = float(text[1:] if times else text[:-1] if percent else text)
    except ValueError:
        raise EditError(f"{edit.text}: expected a number, {'' if whole else 'a percentage, '}or a factor such as x1.1") from None
    if not math.isfinite(number) or number < 0:
        raise EditError(f"{edit.text}: expected a number of 0 or more, found {edit.value}")
    after = number * before if times else number / 100 if percent else number
    if not whole:
        if after > 1:
            raise EditError(f"{edit.text}: expected a rate from 0 to 1 (or 0% to 100%), found {after:g}")
        return after
    if not times and after != int(after):
        raise EditError(f"{edit.text}: expected a whole number, found {edit.value}")
    return round(after)


def _mapped(target: Target, matched: Sequence[Target], change: Callable[[Target], Target], edit: Edit, paths: list[str]) -> Target:
    if not matched:
        raise EditError(f"{edit.text}: expected a path that this promotion has ({', '.join(paths)}), found none")
    scopes = {scope_of(node) for node in matched}

    def walk(node: Target) -> Target:
        parts = tuple(walk(part) for part in node.parts)
        node = msgspec.structs.replace(node, parts=parts) if parts else node
        return change(node) if scope_of(node) in scopes else node

    return walk(target)


def _replaced(value: S, edit: Edit, **fields: object) -> S:
    """The struct with other fields, checked as if it had been read. Raises EditError."""
    try:
        changed = msgspec.structs.replace(value, **fields)
        return msgspec.convert(msgspec.to_builtins(changed), type(value))
    except (ValueError, msgspec.ValidationError) as error:
        raise EditError(f"{edit.text}: {error}") from None


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Segment by segment; a leading `*` also stands for the whole scope, however long."""
    if pattern[:1] == (_ANY,) and len(pattern) <= len(path) and _matches(pattern[1:], path[len(path) - len(pattern) + 1 :]):
        return True
    return len(pattern) == len(path) and all(one in (_ANY, other) for one, other in zip(pattern, path, strict=True))


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()


def _cells_of(leaf: Target) -> list[Cell]:
    return [Cell(scope_of(leaf), row.layer) for row in leaf.layers]


def _nodes(target: Target) -> list[Target]:
    return [target, *(node for part in target.parts for node in _nodes(part))]


def _owner_paths(target: Target) -> list[str]:
    return [f"{scope_of(node).path}/owner".lstrip("/") for node in _nodes(target)]


def _field_paths(target: Target) -> list[str]:
    return [f"{cell.path}/{{{','.join(FIELDS)}}}" for cell in cells(target)]


class Changed(Struct, frozen=True, kw_only=True):
    """A cell before and after the edits, GMV in minor units."""

    path: str
    before: LayerTarget
    after: LayerTarget
    gmv_before: int
    gmv_after: int


class WhatIf(Struct, frozen=True, kw_only=True):
    """What the edits would come to. `projected_*`: how the window would end if from now on the edited cells did as well against their
    new targets as all have done against the old ones; None where nothing can be projected yet."""

    target_before: int
    target_after: int
    changed: tuple[Changed, ...]
    projected_before: Projection | None
    projected_after: Projection | None


def what_if(promotion: Promotion, edits: Sequence[str], projected: Projection | None) -> WhatIf:
    """What the edits change, against how the day is `projected` to end as things stand. Raises EditError.

    What is still to come splits over the cells as the target does, so it grows as the target's GMV does: what remains is multiplied by
    new target / old target. What has been sold is sold.
    """
    after = edited(promotion, edits)
    old, new = promotion.target.gmv, after.target.gmv
    rows = {
        Cell(scope_of(leaf), row.layer): (row, other)
        for leaf, changed in zip(leaves(promotion.target), leaves(after.target), strict=True)
        for row, other in zip(leaf.layers, changed.layers, strict=True)
    }
    return WhatIf(
        target_before=old,
        target_after=new,
        changed=tuple(
            Changed(path=cell.path, before=row, after=other, gmv_before=row.gmv, gmv_after=other.gmv)
            for cell, (row, other) in rows.items()
            if row != other
        ),
        projected_before=projected,
        projected_after=projected.scaled(new / old) if projected is not None and old else None,
    )
