"""Drops of forward flows and rises of reverse ones, minute by minute. Pure: minutes in, findings out.

The rate of a flow is its moves over the touchpoints (orders excepted) of those who stand where it begins: a rush multiplies both, so the
midnight peak by itself changes no rate. Moves into a layer that orders lead to, and moves down, are not among those touchpoints and are
added to them: the rate is then of what people chose to do.

Where a flow has enough channels, what moves all of them is no news of one. Of flows into layers that orders lead to as much more is
expected in a rush as the others of them tell (`warroom.alerts.siblings`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import hypot, log10

from msgspec import Struct

from schemas.ladder import Ladder
from schemas.times import DAY_MS, MINUTE_MS
from schemas.touchpoint import Kind
from warroom.alerts.conversion import UsualRate, judge_drop, judge_rise, standard_score
from warroom.alerts.earlier import Earlier, Line
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import LONGEST, Key, Minute, Track
from warroom.alerts.origin import Share, shares
from warroom.alerts.rules import FlowRule
from warroom.alerts.selling import Selling
from warroom.alerts.siblings import Rush, Siblings, common_level

WINDOWS = (1, 2, 3, 5, 10, 20, 30, 60)
"""Minutes that are judged together: a deep drop shows in one, a shallow one in many."""
_LOOKS = 20
_BELOW = 0.04
"""A channel that is nearer than this to its own rate has not dropped, whatever its siblings did."""
_LOOK_CLOSER = 3.5
"""Standard deviations from which the exact chance is worked out."""


class Shape(Struct, frozen=True, kw_only=True):
    """What the detectors need of a ladder: its layers, lowest first, and those that orders lead to."""

    layers: tuple[str, ...]
    bought: frozenset[str]

    def is_forward(self, from_: str, to: str) -> bool:
        """Whether the flow leads up. Layers of a former ladder lead nowhere."""
        layers = self.layers
        return from_ in layers and to in layers and layers.index(to) > layers.index(from_)

    def is_alone(self, from_: str, to: str) -> bool:
        """Whether what moves is not among the touchpoints that are counted: orders, and what leads down."""
        return to in self.bought or not self.is_forward(from_, to)


def shape_of(ladder: Ladder, brand: str) -> Shape:
    """The shape of a brand's ladder."""
    orders = {name for name, evidence in ladder.evidence.items() if evidence.topic is Kind.ORDER}
    layers = tuple(layer.id for layer in ladder.layers)
    conditions = zip(layers, ladder.conditions(brand), strict=True)
    return Shape(layers=layers, bought=frozenset(id_ for id_, any_ in conditions if any(one.evidence in orders for one in any_)))


class Finding(Struct, frozen=True, kw_only=True):
    """A rate out of the ordinary: over the last `minutes`, of `tried` touchpoints `done` moves instead of those `expected`. `by_sag`: CUSUM
    found it."""

    key: Key
    done: int
    tried: int
    expected: float
    minutes: int
    surprise: float
    since: int
    by_sag: bool = False

    @property
    def change(self) -> float:
        """By how much the rate is off, as a fraction."""
        return self.done / self.expected - 1 if self.expected else 0.0

    @property
    def missing(self) -> float:
        """Moves that did not come (negative: that came beyond what is usual)."""
        return self.expected - self.done

    @property
    def now(self) -> float:
        """Moves a touchpoint."""
        return self.done / max(1, self.tried)

    @property
    def usual(self) -> float:
        """Moves a touchpoint that were to be expected."""
        return self.expected / max(1, self.tried)


class Flows:
    """All flows of one brand."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.tracks: dict[Key, Track] = {}
        self.earlier: Earlier | None = None
        """The curve of an earlier promotion, where there is one."""
        self._selling = Selling()
        self._forward: dict[Key, bool] = {}
        self._siblings: dict[tuple[str, str], Siblings] = {}
        self._rush = Rush()
        self._recent: dict[tuple[tuple[str, str], int], dict[Key, tuple[int, float]]] = {}

    def add(self, minute: Minute, frozen: frozenset[tuple[str, str]] = frozenset()) -> None:
        """The next minute; minutes must come one after the other. `frozen` flows are not learnt from."""
        for pair, channels in minute.moves.items():
            if pair[0] in self.shape.layers and pair[1] in self.shape.layers:
                self._follow(Key(*pair))
                for channel in channels:
                    self._follow(Key(*pair, channel))
        self._recent.clear()
        factors: dict[tuple[str, str], float] = {}
        counts: dict[tuple[str, str], dict[Key, int]] = {}
        self._selling.add(minute)
        self._rush.add(dict(self._bought(minute)))
        for key, track in self.tracks.items():
            pair = (key.from_, key.to)
            channels = minute.moves.get(pair, {})
            done = sum(channels.values()) if key.channel is None else channels.get(key.channel, 0)
            factor = factors.get(pair)
            if factor is None:
                factor = factors[pair] = self._factor(pair, minute.at)
            if key.channel is not None and self._forward[key]:
                factor = self._curve(pair, minute.at)  # where people buy is another matter in a rush than before it
            whole = None if key.channel is None else self.tracks[Key(*pair)]
            track.add(minute.at, done, minute.touches.get(key.from_, 0), frozen=pair in frozen, factor=factor, whole=whole)
            group = self._group(key)
            if group is not None:
                counts.setdefault(group, {})[key] = done
        for group, of_group in counts.items():
            self._siblings.setdefault(group, Siblings()).add(minute.at, of_group, frozen=group in frozen)

    def _group(self, key: Key) -> tuple[str, str] | None:
        """The siblings that a key is one of; channels of what is bought have none, for their parts shift in a rush."""
        alike = self._forward[key] and key.channel is not None and key.to not in self.shape.bought
        return (key.from_, key.to) if alike else None

    def _bought(self, minute: Minute) -> Iterator[tuple[tuple[str, str], tuple[int, float]]]:
        """Of each flow that orders lead along, what was done and what was to be expected but for a rush."""
        for key, track in self.tracks.items():
            if key.channel is None and key.to in self.shape.bought and self._forward[key] and track.usual is not None:
                pair = (key.from_, key.to)
                tried = minute.touches.get(key.from_, 0) * self._curve(pair, minute.at)
                yield pair, (sum(minute.moves.get(pair, {}).values()), track.usual.expected(0, tried, alone=track.alone))

    def _follow(self, key: Key) -> None:
        if key not in self.tracks:
            self.tracks[key] = Track(alone=self.shape.is_alone(key.from_, key.to))
            self._forward[key] = self.shape.is_forward(key.from_, key.to)

    def _factor(self, pair: tuple[str, str], at: int) -> float:
        forward = self.shape.is_forward(*pair)
        known = self._curve(pair, at)
        if forward and pair[1] in self.shape.bought:
            return known * self._rush.factor(pair)
        # What was bought can be given back: while more is sold, more refunds are no news.
        return max(known, self._selling.factor) if not forward and pair[0] in self.shape.bought else known

    def _curve(self, pair: tuple[str, str], at: int) -> float:
        return 1.0 if self.earlier is None else self.earlier.factor(pair, at, forward=self.shape.is_forward(*pair))

    def drops(self, at: int, rule: FlowRule) -> Iterator[Finding]:
        """Forward flows that are clearly below what is usual after the minute that began at `at`."""
        yield from self._judged(at, rule, down=True)

    def rises(self, at: int, rule: FlowRule) -> Iterator[Finding]:
        """Reverse flows that are clearly above what is usual."""
        yield from self._judged(at, rule, down=False)

    def judged(self, rule: FlowRule, *, down: bool) -> list[Key]:
        """The keys that are judged, forward ones or reverse ones: they share what is allowed of false alarms."""
        return [
            key
            for key, forward in self._forward.items()
            if forward is down and (rule.by_channel or key.channel is None) and _is_alive(self.tracks[key], rule)
        ]

    def _judged(self, at: int, rule: FlowRule, *, down: bool) -> Iterator[Finding]:
        of_kind = self.judged(rule, down=down)
        whole = sum(key.channel is None for key in of_kind)
        bars = {True: bars_of(rule, whole), False: bars_of(rule, len(of_kind) - whole)}
        for key in of_kind:
            track = self.tracks[key]
            found = judge_track(key, track, at, rule, bars[key.channel is None], down=down, usual_of=partial(self._usual, key))
            if found is not None:
                yield found

    def _usual(self, key: Key, minutes: int) -> UsualRate | None:
        """What is usual of a key over the last minutes, by its siblings too where it has any that tell."""
        track = self.tracks[key]
        usual, group = track.usual_over(minutes), self._group(key)
        if usual is None or group is None or not self._siblings[group].enough:
            return usual
        scatter, whole = self._siblings[group].scatter(key, minutes), self.tracks[Key(*group)].usual_over(minutes)
        if scatter is None or whole is None:
            return usual
        others = [counts for other, counts in self._channels(group, minutes).items() if other != key]
        common = common_level(others, whole.scatter)
        return usual if common is None else usual.moved(common.level, hypot(scatter, common.scatter))

    def _channels(self, pair: tuple[str, str], minutes: int) -> dict[Key, tuple[int, float]]:
        """(done, expected) of each channel of a flow over the last minutes, each by its own rate."""
        known = self._recent.get((pair, minutes))
        if known is None:
            known = {}
            for key in self._siblings[pair].keys:
                track = self.tracks[key]
                if track.usual is not None:
                    done, _, measure = track.last(minutes)
                    known[key] = done, track.usual.expected(done, measure, alone=track.alone)
            self._recent[pair, minutes] = known
        return known

    def measure(self, key: Key, minutes: int, at: int) -> Finding | None:
        """How a flow stands over the last minutes, alarming or not; None before anything is usual."""
        track = self.tracks.get(key)
        usual = None if track is None else self._usual(key, minutes)
        return None if track is None or usual is None else _finding(key, track, usual, minutes, at, 0.0)

    def by_channel(self, from_: str, to: str, minutes: int) -> list[Share]:
        """Which channels account for what is missing of a flow, the largest part first: each channel's expected moves, at its own usual
        rate, less its own (`warroom.alerts.origin`)."""
        missing = {}
        for key, track in self.tracks.items():
            if (key.from_, key.to) == (from_, to) and key.channel is not None and track.usual is not None:
                done, _, measure = track.last(minutes)
                missing[key.channel] = track.usual.expected(done, measure, alone=track.alone) - done
        return shares(missing)

    def forgive(self, *pairs: tuple[str, str]) -> None:
        """After an alert, or while figures cannot be trusted: what was seen of these flows, of all if none is given, is not held against
        what comes."""
        for key, track in self.tracks.items():
            if not pairs or (key.from_, key.to) in pairs:
                track.forgive()
        self._recent.clear()


def _is_alive(track: Track, rule: FlowRule) -> bool:
    """Whether so much is to be expected within the longest window that it could alarm: what cannot takes no part of what is allowed."""
    if track.usual is None:
        return False
    done, _, measure = track.last(LONGEST)
    return track.seen < LONGEST or track.usual.expected(done, measure, alone=track.alone) >= rule.least_expected


def curve_of(shape: Shape, minutes: Sequence[Minute], begin: int) -> Earlier:
    """The curve of an earlier promotion from its minutes, one after the other; `begin` is the first one's time today."""
    pairs = {pair for one in minutes for pair in one.moves if pair[0] in shape.layers and pair[1] in shape.layers}
    counts = {pair: [(sum(one.moves.get(pair, {}).values()), one.touches.get(pair[0], 0)) for one in minutes] for pair in pairs}
    return Earlier(begin, {pair: Line(one, alone=shape.is_alone(*pair)) for pair, one in counts.items()}, len(minutes))


def bars_of(rule: FlowRule, keys: int) -> tuple[float, ...]:
    """How surprising each window must be (powers of ten) for chance to alarm no more often than the rule allows a day, all windows of all
    keys together (Bonferroni's bound). Half of what is allowed is for the flows as a whole, half for their channels: so few flows do not
    pay for many channels. Of long windows that overlap not every one is a look of its own: about `_LOOKS` of each length are (Siegmund
    1985, "Sequential Analysis", chapter IV: the maximum of a moving sum; z^2 at the bar)."""
    looks = DAY_MS / MINUTE_MS * max(1, keys) * len(WINDOWS) / (rule.false_alarms / 2)
    return tuple(log10(looks * min(1.0, _LOOKS / minutes)) for minutes in WINDOWS)


def judge_track(
    key: Key, track: Track, at: int, rule: FlowRule, bars: Sequence[float], *, down: bool, usual_of: Callable[[int], UsualRate | None]
) -> Finding | None:
    """The window of a key that is the most surprising beyond its bar, if any is; `usual_of` tells what is usual of so many minutes."""
    if track.usual is None:
        return None
    best: Finding | None = None
    beyond = 0.0
    sums, seen = track.sums, track.seen
    end = sums[-1]
    for minutes, bar in zip(WINDOWS, bars, strict=True):
        if minutes > seen:
            break
        begin = sums[-1 - minutes]
        done, measure = end.done - begin.done, end.measure - begin.measure
        own = track.usual_over(minutes) or track.usual
        if not _is_off(track, done, measure, own, min(_BELOW, rule.least_change), down=down):
            continue  # whatever its siblings did
        usual = usual_of(minutes) or own
        expected = usual.expected(done, measure, alone=track.alone)
        if expected < rule.least_expected or not _is_off(track, done, measure, usual, rule.least_change, down=down):
            continue
        if abs(standard_score(done, measure, usual)) < _LOOK_CLOSER:
            continue
        how_surprising = surprise(judge_drop(done, measure, usual) if down else judge_rise(done, measure, usual))
        if how_surprising - bar >= beyond:
            best, beyond = _finding(key, track, usual, minutes, at, how_surprising), how_surprising - bar
    if best is None and down and track.sag.alarming:
        best = _sagging(key, track, track.usual, at, rule)
    return best


def _is_off(track: Track, done: int, measure: int, usual: UsualRate, change: float, *, down: bool) -> bool:
    """Whether what was done is off by this fraction of what is usual, to one side."""
    expected = usual.expected(done, measure, alone=track.alone)
    return (expected - done if down else done - expected) >= change * expected


def _finding(key: Key, track: Track, usual: UsualRate, minutes: int, at: int, how_surprising: float) -> Finding:
    done, tried, measure = track.last(minutes)
    since = at - (minutes - 1) * MINUTE_MS
    expected = usual.expected(done, measure, alone=track.alone)
    return Finding(key=key, done=done, tried=tried, expected=expected, minutes=minutes, surprise=how_surprising, since=since)


def _sagging(key: Key, track: Track, usual: UsualRate, at: int, rule: FlowRule) -> Finding | None:
    sag = track.sag
    minutes = max(1, (at - sag.since) // MINUTE_MS + 1)
    found = Finding(
        key=key,
        done=sag.done,
        tried=sag.tried - sag.done * track.alone,
        expected=usual.expected(sag.done, sag.tried, alone=track.alone),
        minutes=minutes,
        surprise=sag.total / 2.302585,
        since=sag.since,
        by_sag=True,
    )
    return found if found.expected >= rule.least_expected and -found.change >= rule.least_change else None


def worst(findings: Sequence[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings by flow, the most surprising first."""
    by_flow: dict[tuple[str, str], list[Finding]] = {}
    for one in sorted(findings, key=lambda one: -one.surprise):
        by_flow.setdefault((one.key.from_, one.key.to), []).append(one)
    return by_flow
