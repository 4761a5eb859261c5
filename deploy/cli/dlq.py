"""dlq list, show, replay, purge: the dead letters' desk."""

from __future__ import annotations

import heapq
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.check import StateReader
from deploy.cli.common import CommandFailed, DataDir, Json, err, instant, out, print_json, settings_of, shown
from deploy.cli.letters import facts, print_letter, print_letters, print_reasons, row_of
from deploy.settings import Settings
from deploy.wiring import ladder_of, redis_of, validator_of, wall_clock
from schemas.deadletter import Reason
from schemas.times import to_rfc3339
from schemas.touchpoint import KINDS
from sinks.deadletters import DeadLetter, State, Verdict, Wanted, judge, parse_id
from sinks.desk import Desk, Shown

app = typer.Typer(
    help="Dead letters, which could not be processed: list, look at, replay once the cause is mended, take off the desk.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters by id, PARTITION:OFFSET as listed.", show_default=False)]
Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Only letters of this reason; may be given several times.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only records that came on this topic, such as touchpoints.order.")]
Brand = Annotated[str | None, typer.Option("--brand", help="Only records whose brand can be read and is this one.")]
Since = Annotated[
    str | None, typer.Option("--since", help="Refused at this time or later: 2h, 3d, 2026-11-11, '2026-11-11 20:00', RFC 3339.")
]
Until = Annotated[str | None, typer.Option("--until", help="Refused before this time.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TOLD = 10
_POLL_S = 0.05


@app.command("list")
def list_(
    reason: Reasons = None,
    topic: Topics = None,
    brand: Brand = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show so many, the newest.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="Also letters that are done with: replayed, refused again, purged.")] = False,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """The letters that wait for somebody, newest last, and how many there are by reason."""
    settings = settings_of(data)
    wanted = _wanted(settings, None, reason, topic, brand, since, until)
    newest: list[tuple[int, str, dict[str, Any]]] = []
    by_reason: Counter[str] = Counter()
    by_state: Counter[str] = Counter()
    oldest: int | None = None
    with _desk(settings) as (desk, on_read):
        for letter, state in desk.letters(wanted, on_read):
            by_state[state.value] += 1
            if state is not State.OPEN and not every:
                continue
            by_reason[letter.headers.reason.value] += 1
            oldest = letter.at if oldest is None else min(oldest, letter.at)
            entry = letter.at, letter.id, row_of(letter, state)
            if len(newest) < limit:
                heapq.heappush(newest, entry)
            else:
                heapq.heappushpop(newest, entry)
        unreadable = desk.unreadable
    rows = [row for _, _, row in sorted(newest)]
    if as_json:
        told = {"letters": rows, "by_reason": by_reason, "by_state": by_state, "oldest": None if oldest is None else to_rfc3339(oldest)}
        print_json({**told, "unreadable": len(unreadable)})
    else:
        zone = ladder_of(settings).calendar(brand or "")[0]
        print_letters(rows, zone, by_reason.total(), every=every)
        print_reasons(by_reason, by_state, oldest, zone)
    for why in unreadable[:_TOLD]:
        err.print(f"not a dead letter: {why}", markup=False, highlight=False)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="PARTITION:OFFSET, as listed.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the value's bytes to standard output, for instance to mend them, and no more.")
    ] = False,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """One letter: where it came from, what is wrong with it, whether it would be taken now, and its value."""
    settings = settings_of(data)
    with _desk(settings) as (desk, on_read):
        letter, state = _one(desk, letter_id, on_read)
        replayed_at = desk.replayed([letter]).get(letter.place)
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.buffer.flush()
        return
    verdict = judge(letter, validator_of(settings), wall_clock())
    told = facts(letter, state, verdict, replayed_at)
    if as_json:
        print_json(told)
    else:
        print_letter(told, letter)


@app.command()
def replay(
    ids: Ids = None,
    reason: Reasons = None,
    topic: Topics = None,
    brand: Brand = None,
    since: Since = None,
    until: Until = None,
    value: Annotated[
        Path | None, typer.Option("--value", help="Send the bytes of this file in place of the value of the one letter named.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also letters that would be refused again, and those that are done with.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    yes: Yes = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the worker to take them; 0: do not.")] = 30.0,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Send letters again, byte for byte, once what was wrong is mended: the ladder, the producer, or (--value) the record itself.

    Each is judged first by the ladder in force here; what would be refused again stays. A letter counts once, however often it is replayed.
    A record on the wrong topic goes to that of its type. The exit status is 0 only if all that was asked for has been counted.
    """
    settings = settings_of(data)
    wanted = _wanted(settings, ids, reason, topic, brand, since, until)
    mended = _mended(value, wanted)
    validator = validator_of(settings)

    def verdict_of(found: Shown) -> Verdict:
        return judge(found.letter, validator, wall_clock(), mended)

    with _desk(settings) as (desk, on_read):
        plan = _Plan(desk.letters(wanted, on_read), verdict_of, force=force)
        _all_found(wanted, plan.seen)
        if plan.ready and not dry_run:
            if not yes:
                on_read.stop()
                typer.confirm(f"Replay {_letters(plan.ready)}?", abort=True, err=True)
            sent = list(_send(desk, wanted, verdict_of, mended, on_read, force=force))
            desk.sent()
            counted = _counted(desk, settings, sent, wait) if wait else None
        else:
            sent, counted = [], 0
    told = {"ready": plan.ready, "stay": plan.stay, "done": plan.done, "sent": len(sent), "counted": counted}
    if as_json:
        print_json(told)
    else:
        plan.print(dry_run=dry_run)
        _print_sent(len(sent), counted, wait)
    if plan.stay or (sent and counted not in (None, len(sent))) or (wait and sent and counted is None):
        raise typer.Exit(1)


@app.command()
def purge(
    ids: Ids = None,
    reason: Reasons = None,
    topic: Topics = None,
    brand: Brand = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Take letters off the desk: they are listed and replayed no longer.

    Their bytes stay in Kafka until its retention takes them, as it takes the records themselves: a log cannot lose records out of its
    middle, and `rflow check` needs to know what was refused. `rflow dlq list --all` still shows them.
    """
    settings = settings_of(data)
    wanted = _wanted(settings, ids, reason, topic, brand, since, until)
    by_reason: Counter[str] = Counter()
    with _desk(settings) as (desk, on_read):
        seen = set()
        for letter, state in desk.letters(wanted, on_read):
            seen.add((letter.partition, letter.offset))
            by_reason[letter.headers.reason.value] += state is State.OPEN
        _all_found(wanted, seen)
        by_reason = +by_reason
        if by_reason:
            if not yes:
                on_read.stop()
                what = ", ".join(f"{shown(n)} {name}" for name, n in by_reason.most_common())
                typer.confirm(f"Purge {_letters(by_reason.total())} that nobody has replayed ({what})?", abort=True, err=True)
            desk.purge(wanted, wall_clock())
    if as_json:
        print_json({"purged": by_reason.total(), "by_reason": by_reason})
    else:
        out.print(f"{_letters(by_reason.total())} purged", highlight=False)


class _Plan:
    """What a replay comes to: how many letters are `ready`, and why others `stay` or are `done` with, counted."""

    def __init__(self, letters: Iterator[Shown], verdict_of: Callable[[Shown], Verdict], *, force: bool) -> None:
        self.ready = 0
        self.stay: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.seen: set[tuple[int, int]] = set()
        self.first: list[tuple[str, str]] = []
        for found in letters:
            self.seen.add((found.letter.partition, found.letter.offset))
            verdict = verdict_of(found)
            if _is_sent(found, verdict, force=force):
                self.ready += 1
            elif found.state is State.OPEN or force:
                self.stay[found.letter.headers.reason.value] += 1
                if len(self.first) < _TOLD:
                    self.first.append((found.letter.id, verdict.why))
            else:
                self.done[found.state.value] += 1

    def print(self, *, dry_run: bool) -> None:
        """For a person."""
        if dry_run or not self.ready:
            out.print(f"{_letters(self.ready)} to replay", highlight=False)
        for state, n in self.done.items():
            out.print(f"{_letters(n)} done with: {state.replace('_', ' ')}", highlight=False)
        for letter_id, why in self.first:
            out.print(f"{letter_id} stays: {why}", markup=False, highlight=False, soft_wrap=True)
        if (more := self.stay.total() - len(self.first)) > 0:
            out.print(f"and {_letters(more)} more that would be refused again", highlight=False)


def _is_sent(found: Shown, verdict: Verdict, *, force: bool) -> bool:
    if force:
        return not verdict.final
    return found.state is State.OPEN and verdict.is_taken


def _send(
    desk: Desk,
    wanted: Wanted,
    verdict_of: Callable[[Shown], Verdict],
    mended: bytes | None,
    on_read: _Reading,
    *,
    force: bool,
) -> Iterator[DeadLetter]:
    """Sends what is to be sent; of each the letter, without its bytes."""
    for found in desk.letters(wanted, on_read):
        verdict = verdict_of(found)
        if _is_sent(found, verdict, force=force):
            letter = found.letter
            desk.send(letter, verdict.topic, letter.value if mended is None else mended)
            yield DeadLetter(partition=letter.partition, offset=letter.offset, at=letter.at, key=None, value=None, headers=letter.headers)


def _counted(desk: Desk, settings: Settings, sent: list[DeadLetter], seconds: float) -> int | None:
    """How many of the letters the workers have taken by now, None if they have not come to all of them in time."""
    index = {settings.topic_prefix + kind.topic: i for i, kind in enumerate(KINDS)}
    deadline = time.monotonic() + seconds
    with closing(StateReader(settings)) as states, err.status("waiting for the workers"):
        while any(states.meta(shard).offsets[index[topic]] < end - 1 for (topic, shard), end in desk.sent_to.items()):
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)
    by_shard: dict[int, list[DeadLetter]] = {}
    for letter in sent:
        by_shard.setdefault(letter.partition, []).append(letter)
    taken = {shard: desk.replayed(letters) for shard, letters in by_shard.items()}
    return sum(letter.place in taken[letter.partition] for letter in sent)


def _print_sent(sent: int, counted: int | None, wait: float) -> None:
    if not sent:
        return
    if counted is None and wait:
        out.print(f"{_letters(sent)} sent, not all taken within {wait:g} s: does a worker run?", highlight=False)
    elif counted is None:
        out.print(f"{_letters(sent)} sent", highlight=False)
    else:
        again = f", {shown(sent - counted)} refused again" if sent > counted else ""
        out.print(f"{_letters(sent)} sent, {shown(counted)} counted{again}", highlight=False)


def _one(desk: Desk, letter_id: str, on_read: _Reading) -> Shown:
    wanted = Wanted(ids=_ids([letter_id]))
    for found in desk.letters(wanted, on_read):
        return found
    raise CommandFailed(f"expected the id of a dead letter, found none with id {letter_id} (rflow dlq list --all)")


def _wanted(
    settings: Settings,
    ids: list[str] | None,
    reasons: list[Reason] | None,
    topics: list[str] | None,
    brand: str | None,
    since: str | None,
    until: str | None,
) -> Wanted:
    known = [kind.topic for kind in KINDS]
    for topic in topics or ():
        if topic not in known:
            raise CommandFailed(f"expected --topic to be one of {', '.join(known)}, found {topic!r}")
    zone = ladder_of(settings).calendar(brand or "")[0]
    return Wanted(
        ids=_ids(ids or []),
        reasons=frozenset(reasons or ()),
        topics=frozenset(topics or ()),
        brand=brand,
        since=_time(since, zone),
        until=_time(until, zone),
    )


def _ids(texts: list[str]) -> frozenset[tuple[int, int]]:
    try:
        return frozenset(parse_id(text) for text in texts)
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def _time(text: str | None, zone: str) -> int | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    return instant(text, zone) if ago is None else wall_clock() - int(ago[1]) * _SECONDS[ago[2]] * 1000


def _all_found(wanted: Wanted, seen: set[tuple[int, int]]) -> None:
    if missing := wanted.ids - seen:
        told = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(missing)[:_TOLD])
        raise CommandFailed(f"expected ids of dead letters that fit what is asked for, found none with {told} (rflow dlq list --all)")


def _mended(file: Path | None, wanted: Wanted) -> bytes | None:
    if file is None:
        return None
    if len(wanted.ids) != 1:
        raise CommandFailed(f"expected one id beside --value, found {len(wanted.ids)}")
    return file.read_bytes()


def _letters(n: int) -> str:
    return "1 letter" if n == 1 else f"{shown(n)} letters"


class _Reading:
    """Shows how many letters have been read."""

    def __init__(self) -> None:
        self._read = 0
        self._status = err.status("reading the dead letters")

    def __call__(self, count: int) -> None:
        self._read += count
        self._status.update(f"reading the dead letters: {shown(self._read)}")
        self._status.start()

    def stop(self) -> None:
        """Leaves the terminal to others."""
        self._status.stop()


@contextmanager
def _desk(settings: Settings) -> Iterator[tuple[Desk, _Reading]]:
    """The desk, and whom it tells what it has read."""
    reading = _Reading()
    with closing(redis_of(settings).client()) as redis:
        desk = Desk(settings.kafka_client(), settings.topic_prefix, settings.partitions, redis, settings.redis_prefix)
        with closing(desk):
            try:
                yield desk, reading
            finally:
                reading.stop()
