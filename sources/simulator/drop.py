"""A stated drop: at some times of the day people make one step up the ladder less often than they did."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sources.errors import SourceError

STAGES = ("R0", "R1", "R2", "R3", "R4", "R5")
"""The layers the simulated people know of."""

GRAMMAR = "FROM>TO@HH:MM-HH:MM:SHARE[,channel=CHANNEL][,brand=BRAND], for example R2>R3@20:10-20:40:0.5"

_FORM = re.compile(r"(?P<source>\w+)>(?P<target>\w+)@(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d):(?P<share>[\d.]+)(?P<only>(,\w+=[^,=]+)*)")


class DropError(SourceError):
    """A drop that does not follow the grammar."""

    def __init__(self, text: str, expected: str) -> None:
        super().__init__(f"expected {expected}, found {text!r}; a drop is {GRAMMAR}")


@dataclass(frozen=True, slots=True)
class Drop:
    """Between the minutes `begin` and `end` of the day (end excluded; over midnight where it is the smaller) the step from stage
    `source` to stage `target` happens by the `share` less often. `channel` and `brand` narrow it; None for all."""

    source: int
    target: int
    begin: int
    end: int
    share: float
    channel: str | None = None
    brand: str | None = None

    def holds_at(self, minute: int) -> bool:
        """Whether the minute of the day, 0 to 1439, lies within."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def concerns(self, brand: str, channel: str | None) -> bool:
        """Whether it is about touchpoints of this brand and channel."""
        return self.brand in (None, brand) and self.channel in (None, channel)


def parse_drop(text: str) -> Drop:
    """The drop that `text` states. Raises DropError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise DropError(text, "a drop")
    source, target = _stage(text, found["source"]), _stage(text, found["target"])
    if source == target:
        raise DropError(text, "two different layers")
    begin, end = _minute(text, found["begin"]), _minute(text, found["end"])
    if begin == end:
        raise DropError(text, "two different times")
    only = _only(text, found["only"])
    return Drop(source, target, begin, end, _share(text, found["share"]), only.get("channel"), only.get("brand"))


def _stage(text: str, name: str) -> int:
    if name not in STAGES:
        raise DropError(text, f"layers among {', '.join(STAGES)}")
    return STAGES.index(name)


def _minute(text: str, time: str) -> int:
    hours, minutes = int(time[:2]), int(time[3:])
    if minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise DropError(text, "times of the day from 00:00 to 24:00")
    return hours * 60 + minutes


def _share(text: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise DropError(text, "a share above 0 and up to 1")
    return share


def _only(text: str, pairs: str) -> dict[str, str]:
    only: dict[str, str] = {}
    for pair in pairs.split(",")[1:]:
        name, _, value = pair.partition("=")
        if name not in ("channel", "brand") or name in only:
            raise DropError(text, "channel=... and brand=... once each after the share")
        only[name] = value
    return only
