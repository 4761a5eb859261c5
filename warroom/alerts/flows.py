"""Drops of forward flows and rises of reverse ones, minute by minute. Pure: minutes in, findings out.

The rate of a flow is its moves over the touchpoints (orders excepted) of those who stand where it begins: a rush multiplies both, so the
midnight peak by itself changes no rate. Moves into a layer that orders lead to, and moves down, are not among those touchpoints and are
added to them: the rate is then of what people chose to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from schemas.ladder import Ladder
from schemas.touchpoint import Kind
from warroom.alerts.conversion import UsualRate, judge_drop, judge_rise, standard_score
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import Key, Minute, Track
from warroom.alerts.rules import FlowRule

WINDOWS = (1, 2, 3, 5, 10, 20, 30, 60)
"""Minutes that are judged together: a deep drop shows in one, a shallow one in many."""
_LOOK_CLOSER = 4.0
"""Standard deviations from which the exact chance is worked out."""


class Shape(Struct, frozen=True, kw_only=True):
    """What the detectors need of a ladder: its layers, lowest first, and those that orders lead to."""

    layers: tuple[str, ...]
    bought: frozenset[str]

    def is_forward(self, from_: str, to: str) -> bool:
        """Whether the flow leads up. Layers of a former ladder lead nowhere."""
        return from_ in self.layers and to in self.layers and self.layers.index(to) > self.layers.index(from_)


def shape_of(ladder: Ladder, brand: str) -> Shape:
    """The shape of a brand's ladder."""
    orders = {name for name, evidence in ladder.evidence.items() if evidence.topic is Kind.ORDER}
    layers = tuple(layer.id for layer in ladder.layers)
    conditions = zip(layers, ladder.conditions(brand), strict=True)
    return Shape(layers=layers, bought=frozenset(id_ for id_, any_ in conditions if any(one.evidence in orders for one in any_)))


class Finding(Struct, frozen=True, kw_only=True):
    """A rate out of the ordinary: over the last `minutes`, `done` of `tried` instead of the `usual` rate. `by_sag`: CUSUM found it."""

    key: Key
    done: int
    tried: int
    usual: float
    minutes: int
    surprise: float
    since: int
    by_sag: bool = False

    @property
    def change(self) -> float:
        """By how much the rate is off, as a fraction."""
        return self.done / (self.tried * self.usual) - 1 if self.tried and self.usual else 0.0

    @property
    def missing(self) -> float:
        """Moves that did not come (negative: that came beyond what is usual)."""
        return self.tried * self.usual - self.done


class Share(Struct, frozen=True, kw_only=True):
    """One label's part of what is missing."""

    label: str
    missing: float
    share: float


class Flows:
    """All flows of one brand."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.tracks: dict[Key, Track] = {}

    def add(self, minute: Minute, frozen: frozenset[tuple[str, str]] = frozenset()) -> None:
        """The next minute; minutes must come one after the other. `frozen` flows are not learnt from."""
        for pair, channels in minute.moves.items():
            if pair[0] in self.shape.layers and pair[1] in self.shape.layers:
                self.tracks.setdefault(Key(*pair), Track())
                for channel in channels:
                    self.tracks.setdefault(Key(*pair, channel), Track())
        for key, track in self.tracks.items():
            pair = (key.from_, key.to)
            channels = minute.moves.get(pair, {})
            done = sum(channels.values()) if key.channel is None else channels.get(key.channel, 0)
            tried = minute.touches.get(key.from_, 0)
            if key.to in self.shape.bought or not self.shape.is_forward(*pair):
                tried += done
            track.add(minute.at, min(done, tried), tried, frozen=pair in frozen)

    def drops(self, at: int, rule: FlowRule) -> Iterator[Finding]:
        """Forward flows that are clearly below what is usual after the minute that began at `at`."""
        for key, track in self.tracks.items():
            if self.shape.is_forward(key.from_, key.to) and (rule.by_channel or key.channel is None):
                found = judge_track(key, track, at, rule, down=True)
                if found is not None:
                    yield found

    def rises(self, at: int, rule: FlowRule) -> Iterator[Finding]:
        """Reverse flows that are clearly above what is usual."""
        for key, track in self.tracks.items():
            if not self.shape.is_forward(key.from_, key.to) and (rule.by_channel or key.channel is None):
                found = judge_track(key, track, at, rule, down=False)
                if found is not None:
                    yield found

    def measure(self, key: Key, minutes: int, at: int) -> Finding | None:
        """How a flow stands over the last minutes, alarming or not; None before anything is usual."""
        track = self.tracks.get(key)
        if track is None or track.usual is None:
            return None
        return _finding(key, track, track.usual, minutes, at, 0.0)

    def by_channel(self, from_: str, to: str, minutes: int) -> list[Share]:
        """Which channels account for what is missing of a flow, the largest part first. Contribution analysis: each channel's expected
        moves, at its own usual rate, less its own; shares are of all that is missing somewhere (Bhagwan et al. 2014, "Adtributor",
        NSDI: explanatory power)."""
        missing = {}
        for key, track in self.tracks.items():
            if (key.from_, key.to) == (from_, to) and key.channel is not None and track.usual is not None:
                done, tried = track.last(minutes)
                missing[key.channel] = tried * track.usual.rate - done
        return shares(missing)

    def forgive(self, from_: str, to: str) -> None:
        """After an alert: the slow sags of the flow begin anew."""
        for key, track in self.tracks.items():
            if (key.from_, key.to) == (from_, to):
                track.forgive()


def shares(missing: dict[str, float]) -> list[Share]:
    """Each label's share of what is missing, the largest first; those that miss nothing have none."""
    total = sum(value for value in missing.values() if value > 0)
    if total <= 0:
        return []
    found = [Share(label=label, missing=value, share=value / total) for label, value in missing.items() if value > 0]
    return sorted(found, key=lambda one: (-one.missing, one.label))


def judge_track(key: Key, track: Track, at: int, rule: FlowRule, *, down: bool) -> Finding | None:
    """The most surprising window of a key, if it is surprising enough."""
    usual = track.usual
    if usual is None:
        return None
    best: Finding | None = None
    for minutes in WINDOWS:
        if minutes > track.seen:
            break
        done, tried = track.last(minutes)
        if tried * usual.rate < rule.least_expected:
            continue
        score = standard_score(done, tried, usual)
        if score > -_LOOK_CLOSER if down else score < _LOOK_CLOSER:
            continue
        judged = judge_drop(done, tried, usual) if down else judge_rise(done, tried, usual)
        found = _finding(key, track, usual, minutes, at, surprise(judged))
        if found.surprise >= rule.surprise and abs(found.change) >= rule.least_change and (best is None or found.surprise > best.surprise):
            best = found
    if best is None and down and track.sag.alarming:
        best = _sagging(key, track, usual, at, rule)
    return best


def _finding(key: Key, track: Track, usual: UsualRate, minutes: int, at: int, how_surprising: float) -> Finding:
    done, tried = track.last(minutes)
    since = at - (minutes - 1) * 60_000
    return Finding(key=key, done=done, tried=tried, usual=usual.rate, minutes=minutes, surprise=how_surprising, since=since)


def _sagging(key: Key, track: Track, usual: UsualRate, at: int, rule: FlowRule) -> Finding | None:
    sag = track.sag
    minutes = max(1, (at - sag.since) // 60_000 + 1)
    found = Finding(
        key=key,
        done=sag.done,
        tried=sag.tried,
        usual=usual.rate,
        minutes=minutes,
        surprise=sag.total / 2.302585,
        since=sag.since,
        by_sag=True,
    )
    enough = sag.tried * usual.rate >= rule.least_expected
    return found if enough and -found.change >= rule.least_change else None


def worst(findings: Sequence[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings by flow, the most surprising first."""
    by_flow: dict[tuple[str, str], list[Finding]] = {}
    for one in sorted(findings, key=lambda one: -one.surprise):
        by_flow.setdefault((one.key.from_, one.key.to), []).append(one)
    return by_flow
