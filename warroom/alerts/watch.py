"""The process that judges: minute after minute of every brand, as soon as it is complete, with the pipeline's gate before it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from schemas.alert import Alert
from schemas.ladder import Ladder
from schemas.times import DAY_MS, MINUTE_MS
from sinks.config import ClickHouse
from sinks.errors import SinkError
from streams import metrics
from streams.errors import RflowError
from warroom.alerts.acknowledging import acknowledged
from warroom.alerts.background import Background, splitter
from warroom.alerts.balance import Balance
from warroom.alerts.book import AlertBook
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.figures import AlertReader
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.lasting import EVERY_MS, Stands
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.origin import Split
from warroom.alerts.reload import RulesFile
from warroom.alerts.rules import Rules
from warroom.alerts.shards import Shards, waiting
from warroom.live.ends import InputEnds
from warroom.live.freshness import Limits, Reason, freshness
from warroom.live.vitals import Watch as Vitals
from warroom.notes import Notes
from warroom.states import RedisConfig, States

log = logging.getLogger("rflow.alerts")

_WORTH_SECONDS = 300.0
_BRANDS_SECONDS = 30.0
_LATEST_DAYS = 2
_LOOKS = 4


class Overtaken(SinkError):
    """Another process has judged the brand: read its state and go on from there."""


class _Read(NamedTuple):
    minutes: list[Minute]
    worth: Worth
    stands: list[Stands] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchConfig:
    """Where to look. `rules` is the file of rules, None for the defaults; `link` the war room's address.

    With `event_clock` (replays, simulated days) silence by the wall clock says nothing.
    """

    clickhouse: ClickHouse
    redis: RedisConfig
    kafka: Mapping[str, str | int | float | bool]
    topic_prefix: str
    partitions: int
    rules: Path | None = None
    link: str = ""
    event_clock: bool = False
    period: float = 1.0


class Watch:
    """Looks once a period. Not safe for several threads; a second process does no harm, and takes over."""

    def __init__(self, config: WatchConfig, ladder: Ladder, book: AlertBook, clock: Callable[[], int]) -> None:
        self._config = config
        self._ladder = ladder
        self._book = book
        self._clock = clock
        self._reader: AlertReader | None = None
        self._states = States(config.redis)
        self._ends = InputEnds(config.kafka, config.topic_prefix, config.partitions)
        self._vitals = Vitals(time.monotonic())
        self._background = Background(Notes(config.redis.client(), config.redis.prefix))
        self._shards = Shards()
        self._balance = Balance()
        self._balance_at = 0.0
        self._judges: dict[str, tuple[int, Judge]] = {}
        self._worth: dict[str, tuple[float, Worth]] = {}
        self._brands: tuple[float, list[str]] = (0.0, [])
        self._file = RulesFile(config.rules)
        self._down_since: float | None = None
        self._quiet = 0.0
        self.looked = 0.0
        """when it last got through, by the monotonic clock"""

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            try:
                self.look()
            except (SinkError, RedisError, OSError, RflowError) as error:
                log.warning("alerts cannot be judged now: %s", str(error).partition("\n")[0][:300])
                self._drop_reader()
            except Exception:
                log.exception("alerts stumbled")
                self._drop_reader()
                self._judges.clear()
            stop.wait(self._config.period)
        self._drop_reader()
        self._states.close()

    def look(self) -> None:
        """Tell what was acknowledged, and judge every minute that is complete and was not judged."""
        self._file.look()
        self._tell_acknowledged()
        causes = self._causes()
        reader = self._reader
        if reader is None:  # ClickHouse is away: nothing is judged, and that is told of every brand known
            for brand, (version, judge) in list(self._judges.items()):
                told = judge.gate(self._all(causes, judge), self._clock(), self._rules)
                if told:
                    self._judges[brand] = (self._save(version, judge, told), judge)
            return
        stored = reader.stored()
        clock = None if self._config.event_clock else self._clock()
        low = self._shards.reached(time.monotonic(), stored, self._config.partitions, clock)
        self._weigh(reader, stored, low)
        for brand in self._known_brands(reader, low):
            version, judge = self._judge_of(reader, brand, low)
            self._judges[brand] = (self._go_on(reader, version, judge, low, causes), judge)
        self.looked = time.monotonic()

    def _tell_acknowledged(self) -> None:
        """Take in what people have acknowledged since. Raises Overtaken."""
        for asked in self._book.asked():
            brand, alert_id = asked.alert.brand, asked.alert.alert_id
            judging = self._judges.get(brand)
            version, before = self._book.load(brand) if judging is None else (judging[0], judging[1].state)
            state, told = acknowledged(before, asked)
            if told is None:
                log.info("alert %s is over or was told as acknowledged before: %s is not told", alert_id, asked.acknowledgement.by)
            self._keep(version, state, [told] if told else [], (alert_id,))
            if judging is not None:
                judging[1].state = state
                self._judges[brand] = (version + 1, judging[1])

    @property
    def _rules(self) -> Rules:
        return self._file.rules

    # --- the gate -------------------------------------------------------------------------------------------------------------------
    def _causes(self) -> list[str]:
        """What has stood still for as long as the rules allow, in English."""
        now = time.monotonic()
        self._ask(now)
        found = freshness(self._vitals.vitals(now), Limits(quiet=float(self._rules.pipeline.lag_seconds)))
        quiet = max((one.seconds for one in found.causes if one.reason is Reason.NO_EVENTS), default=0.0)
        self._quiet = 0.0 if self._config.event_clock else quiet
        held = [one for one in found.causes if one.reason not in (Reason.WORKER_BEHIND, Reason.NO_EVENTS)]
        if not self._rules.pipeline.enabled:
            return []
        if not held:
            self._down_since = None
            return self._shards.standing(now, self._rules.pipeline.lag_seconds)
        if self._down_since is None:
            self._down_since = now - max(one.seconds for one in held)
        return [one.detail for one in held] if now - self._down_since >= self._rules.pipeline.lag_seconds else []

    def _all(self, causes: list[str], judge: Judge, *, over: bool = False) -> list[str]:
        """With what concerns this brand: silence where there is none by rights. `over`: see `Judge.silent_sources`."""
        rule = self._rules.pipeline
        off = self._balance.lasting(judge.facts.brand, rule.lag_seconds) if rule.enabled and rule.ledger else []
        return [*causes, *off, *judge.silent_sources(self._rules, quiet=self._quiet, over=over)]

    def _weigh(self, reader: AlertReader, stored: Mapping[int, tuple[int, int]], low: int) -> None:
        """Whether the figures add up, a few times within what must pass before it is told."""
        now = time.monotonic()
        if low and now - self._balance_at >= self._rules.pipeline.lag_seconds / _LOOKS:
            self._balance.look(now, reader.unbalanced(stored, low))
            self._balance_at = now

    def _ask(self, now: float) -> None:
        applied: list[tuple[int, list[int]]] = []
        ends: list[list[int]] = []
        try:
            applied = [(meta.version, meta.offsets) for meta in self._states.metas(self._config.partitions)]
            self._vitals.applied(now, applied)
        except (RedisError, OSError, RflowError):
            self._vitals.redis.failed()
        try:
            ends = self._ends.read()
            self._vitals.ends(now, ends)
        except KafkaException:
            self._vitals.kafka.failed()
        try:
            self._reader = self._reader or AlertReader(self._config.clickhouse)
            stored = self._reader.stored()
            self._vitals.stored(now, {shard: version for shard, (version, _) in stored.items()})
            if applied and ends:
                self._shards.look(now, stored, waiting(applied, ends, stored))
        except SinkError:
            self._vitals.clickhouse.failed()
            self._drop_reader()

    # --- one brand ------------------------------------------------------------------------------------------------------------------
    def _known_brands(self, reader: AlertReader, low: int) -> list[str]:
        now = time.monotonic()
        if now >= self._brands[0] and low:
            self._brands = (now + _BRANDS_SECONDS, reader.brands(low - DAY_MS))
        return self._brands[1]

    def _judge_of(self, reader: AlertReader, brand: str, low: int) -> tuple[int, Judge]:
        if brand in self._judges:
            return self._judges[brand]
        version, state = self._book.load(brand)
        facts = Facts(
            brand=brand,
            zone=self._ladder.calendar(brand)[0],
            currency=self._ladder.currency_of(brand),
            link=f"{self._config.link.rstrip('/')}/alerts?brand={quote(brand, safe='')}" if self._config.link else "",
        )
        judge = Judge(facts, Flows(shape_of(self._ladder, brand)), state, partial(self._split, brand))
        complete = low - low % MINUTE_MS
        # What was judged before is read once more, to know what is usual; of a new brand all but the running minute counts as that.
        known = state.judged + MINUTE_MS if state.judged else complete
        log.info("alerts of %s: judged from minute %d on", brand, known)
        self._background.refresh(reader, judge, 0.0, known)
        judge.remember(reader.minutes(brand, known - DAY_MS, known), self._rules)
        return version, judge

    def _split(self, brand: str, key: Key, since: int, end: int) -> Split:
        return {} if self._reader is None else splitter(self._reader, brand, key, since, end)

    def _go_on(self, reader: AlertReader, version: int, judge: Judge, low: int, causes: list[str]) -> int:
        complete = low - low % MINUTE_MS
        begin = judge.state.judged + MINUTE_MS
        if complete - begin > _LATEST_DAYS * DAY_MS:
            log.warning("alerts of %s: minutes from %d on are too long past to be judged", judge.facts.brand, begin)
            begin = complete - DAY_MS
        # All is read before anything is judged: what was judged and not saved would be lost.
        read = self._read(reader, judge, begin, complete) if begin < complete and judge.state.judged else None
        told = judge.gate(self._all(causes, judge), self._clock(), self._rules)
        if read is None:
            return self._save(version, judge, told) if told else version
        loud = max((one.at for one in read.minutes if any(one.arrivals.values())), default=0)
        for minute in read.minutes:
            told += judge.judge(minute, self._rules, read.worth, well=judge.state.down is None)
            told += judge.gate(self._all(causes, judge, over=minute.at < loud), self._clock(), self._rules)
        if read.stands is not None and judge.state.down is None:
            told += judge.stand(read.stands, complete, self._rules)
        return self._save(version, judge, told)

    def _read(self, reader: AlertReader, judge: Judge, begin: int, complete: int) -> _Read:
        worth = self._worth_of(reader, judge, complete)
        self._background.refresh(reader, judge, time.monotonic(), complete)
        return _Read(reader.minutes(judge.facts.brand, begin, complete), worth, self._stands(reader, judge, complete))

    def _stands(self, reader: AlertReader, judge: Judge, at: int) -> list[Stands] | None:
        """How promotions and spend stand, if it is time to look."""
        if judge.state.down is not None or at - judge.state.stood < EVERY_MS:
            return None
        return self._background.stands(reader, judge, self._rules, at)

    def _save(self, version: int, judge: Judge, told: list[Alert]) -> int:
        """State and what is told, at once. Raises Overtaken."""
        self._keep(version, judge.state, told)
        return version + 1

    def _keep(self, version: int, state: BrandState, told: list[Alert], answered: tuple[str, ...] = ()) -> None:
        if not self._book.save(version, state, told, answered):
            self._judges.pop(state.brand, None)
            raise Overtaken(f"another process judges {state.brand}")
        for alert in told:
            metrics.ALERTS.labels(alert.rule, alert.state.value).inc()
            log.info("alert %s %s: %s", alert.alert_id, alert.state.value, f"{alert.title['en']}. {alert.summary['en']}")

    def _worth_of(self, reader: AlertReader, judge: Judge, end: int) -> Worth:
        until, worth = self._worth.get(judge.facts.brand, (0.0, None))
        if worth is None or time.monotonic() >= until:
            worth = reader.worth(judge.facts.brand, judge.flows.shape, end)
            self._worth[judge.facts.brand] = (time.monotonic() + _WORTH_SECONDS, worth)
        return worth

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
