"""The decisions that make the ClickHouse sink exactly-once, apart from all I/O.

The sink's life is a sequence of *blocks* numbered 1, 2, 3 ... A block is a range of every lane (a lane is one partition of one topic):
whole steps of every shard, a step's rollup and its transitions together. ClickHouse's table `sink_blocks` is the log of blocks; nothing
else is trusted. A block goes through these states:

    (planned)   only in memory. A crash forgets it; whoever comes next plans block k anew.
    intent      `sink_blocks` holds its ranges, written in one insert with the token `intent:k:1`. The first to write it decides:
                a second intent for k is dropped by the server, and its author reads the first one back and works on that.
    storing     some of its tables hold its rows. The ranges fix the rows, so whoever goes on re-reads the same records from Kafka
                and inserts the same rows with the same tokens `table:k:1`; the server drops what it has.
    done        `sink_blocks` holds the mark. Only then is block k + 1 planned, so at most the last block is ever unfinished.

At the start, and whenever another sink turns out to have gone ahead, the last block of `sink_blocks` is read back (`opening`):

    FRESH       no block: read every lane from its beginning.
    DONE        the last block is marked: every lane goes on behind its range.
    DOUBTFUL    an intent without a mark: re-read its ranges, then settle it.

After an intent was written it is read back (`agreement`):

    OURS        go on and store it.
    THEIRS      another sink was first: take its ranges, re-read what is missing, and store that. Both insert the same rows with the
                same tokens, so each is stored once.
    LOST        no intent is there, though the insert was answered or dropped: write it again with the next token. See below.
    OVERTAKEN   the block is marked done already, or a later one exists: this sink has slept. Read everything back and begin again.

Settling a block that is not known to be untouched looks first (`settling`): every table keeps the number of the block its rows came
in (the aggregated ones the highest of the rows merged), and blocks come in order, so a table has block k if and only if it has a row
with a number of at least k.

    STORED      leave the table alone.
    MISSING     insert with the token of this attempt, look again, and only if it is still missing go on to the next attempt.

Why look, where the tokens should do? The server notes a token *before* it commits the part, so a server that is killed between the
two has the token and not the rows; and a token is remembered for a finite number of inserts. The token is what stops two inserts that
race, the look is what tells how a past one ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from streams.forgotten import Forgotten, next_version


class Stream(StrEnum):
    """The topics that the sink reads."""

    ROLLUPS = "rollups"
    TRANSITIONS = "transitions"
    SPEND = "spend"
    PROMOTIONS = "promotions"
    ALERTS = "alerts"


SINGLE = (Stream.SPEND, Stream.PROMOTIONS, Stream.ALERTS)
"""Topics whose records each stand for themselves: they belong to no step, and one told again replaces itself in its table."""


class Lane(NamedTuple):
    """One partition of one topic."""

    stream: Stream
    partition: int


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a lane has come: the next offset to read, and the last record taken before it (version -1: none).

    `whole` says that this record ended its step.
    """

    offset: int = 0
    version: int = -1
    index: int = -1
    whole: bool = True


class Range(NamedTuple):
    """What a block takes of one lane: the `records` after `start` up to `end`; none if both are equal."""

    start: Mark
    end: Mark
    records: int


class Verdict(Enum):
    """What a record is to its lane."""

    NEW = auto()
    REPEATED = auto()
    GAP = auto()
    """new, but something before it is missing"""
    FORGOTTEN = auto()
    """of a step that a restored Redis does not know: what it tells comes again under another version"""


def judge(stream: Stream, seen: Mark, version: int, index: int, forgotten: Sequence[Forgotten] = ()) -> Verdict:
    """The subscriber's rule, and what is missing by it. Every step has a rollup, but those `forgotten`; not every step has transitions."""
    if stream in SINGLE:
        return Verdict.NEW
    if any(one.has(version) for one in forgotten):
        return Verdict.FORGOTTEN
    if (version, index) <= (seen.version, seen.index):
        return Verdict.REPEATED
    if version == seen.version:
        return Verdict.NEW if index == seen.index + 1 and not (stream is Stream.ROLLUPS and seen.whole) else Verdict.GAP
    if index != 0:
        return Verdict.GAP
    if stream is Stream.ROLLUPS and not (seen.whole and version in _next_versions(seen, forgotten)):
        return Verdict.GAP
    return Verdict.NEW


def _next_versions(seen: Mark, forgotten: Sequence[Forgotten]) -> tuple[int, ...]:
    """The first step ever is version 1 (or 0: nothing has come before either)."""
    return (0, next_version(0, forgotten)) if seen.version < 0 else (next_version(seen.version, forgotten),)


class Step(Enum):
    """Whether a step, of which the whole rollup is there, has its transitions too."""

    WHOLE = auto()
    WAITING = auto()
    """they may still come"""
    LOST = auto()
    """they will not: those of a later step are there"""


def step_state(expected: int, found: int, *, passed: bool) -> Step:
    """`expected` transitions by the rollup against those `found`; `passed` says that a later step's are there."""
    if found == expected:
        return Step.WHOLE
    return Step.LOST if passed or found > expected else Step.WAITING


class Log(Enum):
    """What a lane's log is to where the sink wants to go on."""

    FITS = auto()
    GAP = auto()
    """it begins only after that"""
    STALE = auto()
    """it ends before that"""


def log_state(wanted: int, begins: int, ends: int) -> Log:
    """Offsets: the one to read next, the log's first, and the one its next record will get."""
    if wanted > ends:
        return Log.STALE
    return Log.GAP if wanted < begins else Log.FITS


class Opening(Enum):
    """What the last block is at the start."""

    FRESH = auto()
    DONE = auto()
    DOUBTFUL = auto()


def opening(last: int, done: bool) -> Opening:
    """`last` is the highest block of which anything is known, 0 for none; `done` whether it is marked."""
    if last == 0:
        return Opening.FRESH
    return Opening.DONE if done else Opening.DOUBTFUL


class Agreement(Enum):
    """Whose intent for a block stands."""

    OURS = auto()
    THEIRS = auto()
    LOST = auto()
    OVERTAKEN = auto()


def agreement(block: int, sink: str, last: int, done: bool, author: str | None) -> Agreement:
    """`sink` wrote an intent for `block`; read back were the highest block `last`, whether it is `done`, and its intent's author."""
    if last > block or (last == block and done):
        return Agreement.OVERTAKEN
    if last < block or author is None:
        return Agreement.LOST
    return Agreement.OURS if author == sink else Agreement.THEIRS


class Settling(Enum):
    """What to do about one table of a block."""

    STORED = auto()
    MISSING = auto()


def settling(block: int, highest: int) -> Settling:
    """`highest` is the highest block that the table holds a row of, 0 for none."""
    return Settling.STORED if highest >= block else Settling.MISSING
