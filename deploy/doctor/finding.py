"""What was found of one thing that was looked at."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """`risk`: it works, and one fault, or a busier day, away from now it may not. `wrong`: it fails, or loses something."""

    GOOD = "good"
    RISK = "risk"
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """One thing looked at: what was found, and what to do about it if it is not good."""

    what: str
    level: Level
    found: str
    advice: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is to be done."""
        return self.level is Level.GOOD


def judged(what: str, good: bool, found: object, advice: str, *, otherwise: Level = Level.WRONG) -> Finding:
    """A finding that is good, or else `otherwise`, in which case the advice counts."""
    return Finding(what, Level.GOOD if good else otherwise, str(found), "" if good else advice)


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a table."""
    return " ".join(str(error).split())[:200] or type(error).__name__
