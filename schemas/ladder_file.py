"""A ladder from its YAML file; every mistake is told with the line it stands on, what was expected and what was found."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.ladder import Condition, Evidence, Ladder
from schemas.touchpoint import CATALOGUE, REFUND, RELATIONS
from schemas.yaml_reader import KeyPath, MistakesError, read_yaml

SHIPPED = ("5r", "aipl")

_PATTERNS = {
    r"^[A-Za-z][A-Za-z0-9_]{0,31}$": "a name (a letter, then at most 31 letters, digits or _)",
    r"^[a-z0-9][a-z0-9_-]{0,31}$": "a name (at most 32 small letters, digits, _ or -)",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": 'a time of day in quotes such as "04:00"',
    r"^[A-Z]{3}$": "a currency code such as CNY",
}

_REVERSALS = frozenset({REFUND, *(type_ for type_, (_, begins) in RELATIONS.items() if not begins)})
"""Types that end or undo what another type began: alone they can be no evidence."""

Mistake = tuple[KeyPath, str]


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
    """The ladder that `text` describes; `file` is what messages call it. Raises LadderError.

    What does not have the right shape is told first, all of it; what does not make sense, once the shape is right.
    """
    try:
        document = read_yaml(text, file, Ladder, _PATTERNS)
        mistakes = [(document.line(path), message) for path, message in _mistakes(document.value)]
        if mistakes:
            raise MistakesError(file, mistakes)
    except MistakesError as error:
        raise LadderError(str(error)) from None
    return document.value


def _mistakes(ladder: Ladder) -> list[Mistake]:
    """What the types cannot say: where each mistake stands, and what it is."""
    found = _in_layers(ladder) + _in_evidence(ladder.evidence) + _in_zone(ladder.time_zone, ("time_zone",))
    ids = [layer.id for layer in ladder.layers]
    for brand, override in ladder.brands.items():
        at = ("brands", brand)
        if override.time_zone is not None:
            found += _in_zone(override.time_zone, (*at, "time_zone"))
        for layer_id, conditions in override.layers.items():
            if layer_id not in ids[1:]:
                found.append(((*at, "layers", layer_id), f"expected one of {', '.join(ids[1:])}, found {layer_id!r}"))
            found += _in_conditions(ladder, conditions, (*at, "layers", layer_id))
    return found


def _in_layers(ladder: Ladder) -> list[Mistake]:
    found: list[Mistake] = []
    if len(ladder.layers) < 2:
        found.append((("layers",), f"expected at least two layers, found {len(ladder.layers)}"))
    ids = [layer.id for layer in ladder.layers]
    for i, layer in enumerate(ladder.layers):
        at = ("layers", i)
        if layer.id in ids[:i]:
            found.append(((*at, "id"), f"expected an id of its own, found {layer.id!r} again"))
        if i == 0 and layer.any:
            found.append(((*at, "any"), f"expected no condition for the lowest layer, found {len(layer.any)}: it holds when no other does"))
        if i > 0 and not layer.any:
            found.append((at, f"expected at least one condition under `any` of {layer.id}, found none"))
        found += _in_conditions(ladder, layer.any, (*at, "any"))
    return found


def _in_conditions(ladder: Ladder, conditions: tuple[Condition, ...], at: KeyPath) -> list[Mistake]:
    return [
        ((*at, j, "evidence"), f"expected one of {', '.join(ladder.evidence)}, found {condition.evidence!r}")
        for j, condition in enumerate(conditions)
        if condition.evidence not in ladder.evidence
    ]


def _in_evidence(evidence: dict[str, Evidence]) -> list[Mistake]:
    found: list[Mistake] = []
    seen: dict[str, str] = {}
    for name, one in evidence.items():
        known = [type_ for type_, kind in CATALOGUE.items() if kind is one.topic]
        at = ("evidence", name, "types")
        if one.types == ():
            found.append((at, f"expected at least one of {', '.join(known)}, found none"))
        for j, type_ in enumerate(one.types or ()):
            if type_ not in known:
                found.append(((*at, j), f"expected one of {', '.join(known)}, found {type_!r}"))
        if one.types and all(type_ in _REVERSALS for type_ in one.types):
            can = [type_ for type_ in known if type_ not in _REVERSALS]
            found.append((at, f"expected at least one of {', '.join(can)}, found only what takes evidence back"))
        twins = {seen[type_] for type_ in one.types or known if type_ in seen}
        if twins:
            found.append((("evidence", name), f"expected each type to carry one evidence, found types shared with {min(twins)!r}"))
        seen |= dict.fromkeys(known if one.types is None else one.types, name)
    return found


def _in_zone(name: str, at: KeyPath) -> list[Mistake]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [(at, f"expected an IANA time zone such as Asia/Shanghai, found {name!r}")]
    return []
