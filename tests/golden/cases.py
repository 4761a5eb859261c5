"""The golden cases as values, and the ladders they name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from schemas.ladder import Ladder
from schemas.ladder_file import SHIPPED, load_ladder
from streams.plain import PlainFigures
from tests.golden.engine import Event
from tests.golden.notation import Expected, parse_events, parse_expected, parse_money

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One case: its events, and what it expects of all ladders and of each."""

    file: str
    title: str
    events: list[Event]
    duplicates: int
    junk: int
    money: PlainFigures
    expected: dict[str, Expected]


def all_cases() -> list[Case]:
    """Every case, file by file in order of name."""
    return [
        _case(path.stem, dict(values)) for path in sorted(HERE.glob("cases/*.yaml")) for values in yaml.safe_load(path.read_text("utf-8"))
    ]


@cache
def ladder_named(name: str) -> Ladder:
    """A shipped ladder, or the variant of that name."""
    return load_ladder(name if name in SHIPPED else str(HERE / "ladders" / f"{name}.yaml"))


def _case(file: str, values: dict[str, str]) -> Case:
    title = values.pop("title")
    try:
        return Case(
            file=file,
            title=title,
            events=parse_events(values.pop("events")),
            duplicates=int(values.pop("duplicates", 0)),
            junk=int(values.pop("junk", 0)),
            money=parse_money(values.pop("money", None)),
            expected={ladder: parse_expected(text) for ladder, text in values.items()},
        )
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{file}: {title}: {error}") from error
