"""What must hold of decode and fold for any bytes: one shard in memory that judges all that goes in and all that comes out.

Every record goes the whole way: validated, folded in steps beside others, states and outputs encoded and read back, transitions and
rollups taken by the sink's decoder; and the plain fold, told the same records one by one, must come to the same end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import hiredis
import msgspec

from schemas.deadletter import DeadLetterHeaders, InvalidRecord
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from schemas.rollup import MAX_BYTES as MAX_ROLLUP_BYTES
from schemas.rollup import Rollup
from schemas.times import LAST_MS, from_rfc3339
from schemas.touchpoint import KINDS, Kind, Tick, Touchpoint
from schemas.transition import Transition
from schemas.validate import FUTURE_MS, Validator
from sinks.decision import Stream
from sinks.rows import BadRecord, Decoder
from sources.route import route
from streams.fold import Fold
from streams.labels import Labels
from streams.ladder import Rules
from streams.meta import Meta, decode_meta, encode_meta
from streams.outbox import FORWARDED_HEADER, MAX_DEAD_LETTER_BYTES, Entry, Output, decode_entry, encode_entry, outputs
from streams.plain import Outcome, PlainFold, PlainTransition
from streams.replayed import ATTEMPT_HEADER, FIRST_SEEN_HEADER, REPLAYED_HEADER
from streams.state import decode_state, encode_state
from tests.golden.fold_engine import figures, plain

NOW = from_rfc3339("2026-11-11T00:00:00Z")
SHARD, PARTITIONS = 0, 2
"""A shard of two: half of all users are elsewhere at home."""

LADDER = load_ladder("5r")
RULES = Rules(LADDER)
VALIDATOR = Validator(LADDER, lambda: NOW)
ELSEWHERE = Validator(LADDER, lambda: NOW)
SINK = Decoder(LADDER)

_PLAIN = frozenset(Outcome)
_transition = msgspec.json.Decoder(Transition).decode
_rollup = msgspec.json.Decoder(Rollup).decode

FATES = ("applied", "duplicate", "tick", "letter", "forwarded", "repeated")
"""What may become of a record."""

SEPARATOR = b"\x1e"
"""Between the records of one input: no byte of any valid record."""


class Incoming(NamedTuple):
    """One record as it comes. `kind` None is the topic `spend`; `mark` the header of a forwarded record or of a replayed dead
    letter; a step ends after it, or is followed by a sweep."""

    kind: Kind | None
    value: bytes | None
    mark: bytes | None = None
    ends_step: bool = False
    sweeps: bool = False


_KINDS: tuple[Kind | None, ...] = (*KINDS, None)
_FORWARDS = (b"1:7", b"1:8", b"1:6", b"1:18446744073709551616", b"0:1", b"9:1", b"1", b"1:-1", b"\xff", b"1:" + b"9" * 5_000)
_REPLAYS = (b"touchpoints.order:0:7", b"touchpoints.order:1:7", b"touchpoints.order:0:-1", b"touchpoints.order:0", b"x" * 5_000)
_MARKS = (*_FORWARDS, *_REPLAYS)


def unpack(data: bytes) -> list[Incoming]:
    """The records that a fuzzer's input stands for: parts between separators, of each the first byte its flags, the rest its value."""
    return [_unpacked(part) for part in data.split(SEPARATOR)]


def _unpacked(part: bytes) -> Incoming:
    flags, value = (part[0], part[1:]) if part else (0, None)
    kind = _KINDS[flags % 5]
    flags //= 5
    mark = None if flags % 4 else _MARKS[len(value or b"") % len(_MARKS)]
    return Incoming(kind, value, mark if flags >= 4 else None, flags % 5 == 1, flags % 11 == 1)


def pack(kind: Kind | None, value: bytes, more: int = 0) -> bytes:
    """A part of an input; `more` from 0 to 50 gives the other flags."""
    return bytes([_KINDS.index(kind) + 5 * more]) + value


class Record:
    """A Kafka record as the fold asks for it."""

    def __init__(self, offset: int, incoming: Incoming) -> None:
        self._offset, self._incoming = offset, incoming

    def key(self) -> bytes | None:
        return b"\xff\x00key"

    def value(self) -> bytes | None:
        return self._incoming.value

    def offset(self) -> int | None:
        return self._offset

    def headers(self) -> Any:
        mark = self._incoming.mark
        if mark is None:
            return None
        if mark not in _REPLAYS:
            return [("trace", None), (FORWARDED_HEADER, mark)]
        return [(REPLAYED_HEADER, mark), (ATTEMPT_HEADER, b"2"), (FIRST_SEEN_HEADER, b"0001-01-01T00:00:00+14:00")]


class Told(NamedTuple):
    """One validated record in its place."""

    topic: int
    item: Touchpoint | Tick | InvalidRecord
    record: Record


def read(kind: Kind, value: bytes | None) -> Touchpoint | Tick | InvalidRecord:
    """What the processor reads in a record; what it takes, sources find the way for."""
    try:
        item = VALIDATOR.validate(kind, value)
    except InvalidRecord as invalid:
        invalid.detail.encode()
        route(value or b"")
        return invalid
    at = item.occurred_at
    assert type(at) is int
    assert 0 <= at <= min(LAST_MS, NOW + FUTURE_MS)
    if isinstance(item, Touchpoint):
        assert route(value or b"") == (kind, item.user_id.encode(), at, False)
    return item


def is_spend(value: bytes | None) -> bool:
    """Whether the sink takes it from the topic `spend`."""
    try:
        SINK.decode(Stream.SPEND, SHARD, 0, value)
    except BadRecord:
        return False
    return True


class Shard:
    """Takes inputs and asserts what must hold. One input, one shard."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._plain = PlainFold(LADDER)
        self._plain_transitions: list[PlainTransition] = []
        self._meta = Meta()
        self._labels: list[str] = []
        self._states: dict[str, bytes] = {}
        self._roster: list[str] = []
        self._transitions: list[Transition] = []
        self._rollups: list[Rollup] = []
        self._offsets = [-1] * len(KINDS)

    def take(self, records: Iterable[Incoming]) -> None:
        """All of an input, to the end and the last sweep."""
        step: list[Told] = []
        for incoming in records:
            if incoming.kind is None:
                self._spend(incoming.value)
                continue
            step.append(self._told(incoming.kind, incoming))
            if incoming.ends_step or incoming.sweeps:
                self._step(step)
                step = []
            if incoming.sweeps:
                self._sweep()
        self._step(step)
        self._sweep()
        self._compare()

    def _spend(self, value: bytes | None) -> None:
        self.outcomes["spend" if is_spend(value) else "bad spend"] += 1

    def _told(self, kind: Kind, incoming: Incoming) -> Told:
        topic = KINDS.index(kind)
        self._offsets[topic] += 1
        return Told(topic, read(kind, incoming.value), Record(self._offsets[topic], incoming))

    # --- steps --------------------------------------------------------------------------------------------------------------------
    def _step(self, records: list[Told]) -> None:
        keys = [_key(told.item) for told in records]
        labels = Labels(self._labels, bound=8)
        fold = self._fold(labels, keys)
        taken = _taken(fold)
        for told, key in zip(records, keys, strict=True):
            offset = told.record.offset()
            assert offset is not None
            fold.take((0, offset, told.topic, told.item, told.record), key)
            now_taken = _taken(fold)
            became = [fate for fate, before, after in zip(FATES, taken, now_taken, strict=True) if after != before]
            assert sum(now_taken) == sum(taken) + len(became) == sum(taken) + 1, "every record becomes one thing"
            self._plainly(told.item, became[0])
            taken = now_taken
        self.outcomes.update(dict(zip(FATES, taken, strict=True)))
        assert fold.meta.offsets == self._offsets
        letters = [told for told in records if isinstance(told.item, InvalidRecord)]
        self._finish(fold, labels, letters)

    def _sweep(self) -> None:
        if self._meta.watermark is None:
            return
        labels = Labels(self._labels, bound=8)
        fold = self._fold(labels, self._roster)
        fold.sweep(self._roster, RULES.last_turn(self._meta.watermark))
        self._finish(fold, labels, [])
        self._plain_transitions += self._plain.sweep()

    def _fold(self, labels: Labels, keys: Iterable[str]) -> Fold:
        stored = {key: self._states.get(key) for key in keys}
        return Fold(RULES, labels, self._meta.copy(), stored, shard=SHARD, partitions=PARTITIONS, now=NOW)

    def _plainly(self, item: Touchpoint | Tick | InvalidRecord, outcome: str) -> None:
        """What the plain fold makes of the same record."""
        if isinstance(item, InvalidRecord) or outcome not in _PLAIN:
            return
        expected, transitions = self._plain.apply(item)
        assert outcome == expected
        self._plain_transitions += transitions

    def _finish(self, fold: Fold, labels: Labels, letters: list[Told]) -> None:
        version = self._meta.version + 1
        states, entry = fold.finish()
        assert decode_meta(encode_meta(fold.meta)) == fold.meta
        assert fold.meta.version == version
        self._meta = fold.meta
        for key, state in states.items():
            assert encode_state(decode_state(state)) == state
            command: tuple[Any, ...] = ("SET", "rflow:{0}:u:" + key, state)
            assert hiredis.pack_command(command)
        for name in (*fold.newcomers, *labels.added):
            assert name.encode().decode() == name
        self._states.update(states)
        self._labels += labels.take_added()
        self._roster += fold.newcomers
        self._judge(entry, letters)

    def _judge(self, entry: Entry, letters: list[Told]) -> None:
        """All that a step says can be stored, published, and read by whom it concerns."""
        assert decode_entry(encode_entry(entry)) == entry
        told: defaultdict[str, list[Output]] = defaultdict(list)
        for output in outputs(entry):
            assert len(output.value or b"") <= MAX_DEAD_LETTER_BYTES
            told[output.topic].append(output)
        transitions = [_transition(output.value or b"") for output in told.pop("transitions", [])]
        rollups = [_rollup(output.value or b"") for output in told["rollups"]]
        assert [t.index for t in transitions] == list(range(len(transitions)))
        assert [r.index for r in rollups] == list(range(len(rollups)))
        assert [r.last for r in rollups] == [False] * (len(rollups) - 1) + [True]
        assert rollups[-1].transitions == len(transitions)
        for output in told.pop("rollups"):
            assert len(output.value or b"") <= MAX_ROLLUP_BYTES
            SINK.decode(Stream.ROLLUPS, SHARD, 0, output.value)
        for _, value in entry.transitions:
            SINK.decode(Stream.TRANSITIONS, SHARD, 0, value)
        self._judge_letters(told.pop("deadletters", []), letters)
        for topic, forwards in told.items():
            for forward in forwards:
                again = ELSEWHERE.validate(Kind(topic.partition(".")[2]), forward.value)
                assert isinstance(again, Touchpoint)
                assert forward.partition == partition_of(again.user_id, PARTITIONS) != SHARD
        self._transitions += transitions
        self._rollups += rollups

    def _judge_letters(self, found: list[Output], letters: list[Told]) -> None:
        invalid = 0
        for output in found:
            headers = {name: value.decode() for name, value in output.headers}
            assert all(name.isascii() for name in headers)
            told = msgspec.convert(headers, DeadLetterHeaders, strict=False)
            if told.reason != "misrouted":
                letter = letters[invalid]
                invalid += 1
                assert isinstance(letter.item, InvalidRecord)
                assert (told.reason, told.offset) == (letter.item.reason, letter.record.offset())
                assert (output.key, output.value) == (letter.record.key(), letter.record.value())
        assert invalid == len(letters)

    # --- the end ------------------------------------------------------------------------------------------------------------------
    def _compare(self) -> None:
        """The shard against the plain fold, and its figures against its states."""
        found = _by_user(plain(t) for t in self._transitions)
        assert found == _by_user(self._plain_transitions)
        assert self._meta.watermark == self._plain.watermark
        assert figures(self._rollups) == self._plain.figures()
        census: dict[str, list[int]] = defaultdict(lambda: [0] * len(LADDER.layers))
        users = set()
        for key in self._roster:
            brand, _, user = key.partition(":")
            name = RULES.brand_of_key(brand).name
            state = decode_state(self._states[key])
            expected = self._plain.users[name, user]
            assert (state.layer, state.seq) == (expected.layer, expected.seq)
            census[name][state.layer] += 1
            users.add((name, user))
        assert users == self._plain.users.keys()
        assert self._meta.census == census
        applied = sum(rollup.applied for rollup in self._rollups)
        assert applied == self.outcomes["applied"] == sum(t.touchpoints for rollup in self._rollups for t in rollup.touches)


def _key(item: Touchpoint | Tick | InvalidRecord) -> str:
    return f"{RULES.brands[item.brand].key}:{item.user_id}" if isinstance(item, Touchpoint) else ""


def _taken(fold: Fold) -> tuple[int, ...]:
    """What has become of the records so far, in the order of FATES."""
    counts = fold.counts
    applied = sum(touchpoints[0] for touchpoints, _ in counts.touches.values())
    replays = counts.replays["repeated"]
    duplicates, forwarded = sum(counts.duplicates.values()) - replays, sum(counts.forwarded.values())
    return applied, duplicates, counts.ticks, sum(fold.reasons.values()), forwarded, counts.repeated_forwards + replays


def _by_user(transitions: Iterable[PlainTransition] | Iterator[PlainTransition]) -> dict[tuple[str, str], list[PlainTransition]]:
    found: dict[tuple[str, str], list[PlainTransition]] = {}
    for transition in transitions:
        found.setdefault((transition.brand, transition.user_id), []).append(transition)
    return found


def judge(data: bytes) -> Counter[str]:
    """One input of a fuzzer, all the way; what became of its records. Raises AssertionError, or whatever escapes."""
    shard = Shard()
    shard.take(unpack(data))
    return shard.outcomes


def decode(data: bytes) -> Counter[str]:
    """The first record of an input, no further than decoding; how it was read."""
    kind, value, *_ = _unpacked(data)
    if kind is None:
        return Counter(("spend" if is_spend(value) else "bad spend",))
    item = read(kind, value)
    return Counter((item.reason.value if isinstance(item, InvalidRecord) else "tick" if isinstance(item, Tick) else "touchpoint",))
