"""The process that judges: minute after minute of every brand, as soon as it is complete, with the pipeline's gate before it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
from warroom.alerts.book import AlertBook
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.figures import AlertReader
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.rules import Rules, RulesError, load_rules
from warroom.live.ends import InputEnds
from warroom.live.freshness import Limits, Reason, freshness
from warroom.live.vitals import Watch as Vitals
from warroom.states import RedisConfig, States

log = logging.getLogger("rflow.alerts")

_WORTH_SECONDS = 300.0
_BRANDS_SECONDS = 30.0
_LATEST_DAYS = 2
_MISSED = 30
"""Records that were to be expected in a silence that is told."""


class Overtaken(SinkError):
    """Another process has judged the brand: read its state and go on from there."""


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
        self._judges: dict[str, tuple[int, Judge]] = {}
        self._worth: dict[str, tuple[float, Worth]] = {}
        self._brands: tuple[float, list[str]] = (0.0, [])
        self._rules = Rules() if config.rules is None else load_rules(config.rules)
        self._rules_at = self._stamp()
        self._down_since: float | None = None
        self._quiet = False
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
        self._reload()
        self._tell_acknowledged()
        causes = self._causes()
        reader = self._reader
        if reader is None:  # ClickHouse is away: nothing is judged, and that is told of every brand known
            for brand, (version, judge) in list(self._judges.items()):
                told = judge.gate(self._all(causes, judge), self._clock())
                if told:
                    self._judges[brand] = (self._save(version, judge, told), judge)
            return
        stored = reader.stored()
        low = min((watermark for _, watermark in stored.values()), default=0) if len(stored) == self._config.partitions else 0
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

    # --- the gate -------------------------------------------------------------------------------------------------------------------
    def _causes(self) -> list[str]:
        """What has stood still for as long as the rules allow, in English."""
        now = time.monotonic()
        self._ask(now)
        found = freshness(self._vitals.vitals(now), Limits(quiet=float(self._rules.pipeline.lag_seconds)))
        self._quiet = not self._config.event_clock and any(one.reason is Reason.NO_EVENTS for one in found.causes)
        held = [one for one in found.causes if one.reason not in (Reason.WORKER_BEHIND, Reason.NO_EVENTS)]
        if not held or not self._rules.pipeline.enabled:
            self._down_since = None
            return []
        if self._down_since is None:
            self._down_since = now - max(one.seconds for one in held)
        return [one.detail for one in held] if now - self._down_since >= self._rules.pipeline.lag_seconds else []

    def _all(self, causes: list[str], judge: Judge) -> list[str]:
        """With what concerns this brand: silence where there is none by rights."""
        lag = self._rules.pipeline.lag_seconds
        silent = [f"no input for {lag} s"] if self._quiet and judge.sources.expected(lag / 60) >= _MISSED else []
        return [*causes, *silent, *judge.silent_sources(self._rules)]

    def _ask(self, now: float) -> None:
        try:
            self._vitals.applied(now, [(meta.version, meta.offsets) for meta in self._states.metas(self._config.partitions)])
        except (RedisError, OSError, RflowError):
            self._vitals.redis.failed()
        try:
            self._vitals.ends(now, self._ends.read())
        except KafkaException:
            self._vitals.kafka.failed()
        try:
            self._reader = self._reader or AlertReader(self._config.clickhouse)
            self._vitals.stored(now, {shard: version for shard, (version, _) in self._reader.stored().items()})
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
        judge = Judge(facts, Flows(shape_of(self._ladder, brand)), state)
        complete = low - low % MINUTE_MS
        # What was judged before is read once more, to know what is usual; of a new brand all but the running minute counts as that.
        known = state.judged + MINUTE_MS if state.judged else complete
        log.info("alerts of %s: judged from minute %d on", brand, known)
        judge.remember(reader.minutes(brand, known - DAY_MS, known))
        return version, judge

    def _go_on(self, reader: AlertReader, version: int, judge: Judge, low: int, causes: list[str]) -> int:
        complete = low - low % MINUTE_MS
        told = judge.gate(self._all(causes, judge), self._clock())
        begin = judge.state.judged + MINUTE_MS
        if complete - begin > _LATEST_DAYS * DAY_MS:
            log.warning("alerts of %s: minutes from %d on are too long past to be judged", judge.facts.brand, begin)
            begin = complete - DAY_MS
        if begin < complete and judge.state.judged:
            worth = self._worth_of(reader, judge, complete)
            for minute in reader.minutes(judge.facts.brand, begin, complete):
                told += judge.judge(minute, self._rules, worth, well=judge.state.down is None)
                told += judge.gate(self._all(causes, judge), self._clock())
        elif not told:
            return version
        return self._save(version, judge, told)

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

    # --- rules ----------------------------------------------------------------------------------------------------------------------
    def _stamp(self) -> float:
        try:
            return 0.0 if self._config.rules is None else self._config.rules.stat().st_mtime
        except OSError:
            return -1.0

    def _reload(self) -> None:
        """Take the file's rules when it has changed; one that cannot be used leaves those in force."""
        stamp = self._stamp()
        if self._config.rules is None or stamp == self._rules_at:
            return
        self._rules_at = stamp
        try:
            self._rules = load_rules(self._config.rules)
            log.info("alert rules: version %d is in force", self._rules.version)
        except RulesError as error:
            metrics.ALERT_RULES_REFUSED.inc()
            log.error("alert rules cannot be used, those before stay in force: %s", str(error).replace("\n", "; "))

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
