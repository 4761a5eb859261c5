"""From findings to alerts: few and right. Pure: a brand's minutes in, records of the `alerts` topic out, the state in between a value.

1. The pipeline's gate comes first: while figures cannot be trusted, no flow is judged, and for some minutes after, nor are those minutes
   held against it. Nor does a flow alarm in a minute in which an input topic is silent: that may be its source.
2. Of each flow there is one alert at a time, whatever windows and channels find it; most of what is missing gives its scope.
3. A flow that ends in the same layer as one that is alarming, and began when it did, is told with it and not apart.
4. An open alert resolves after some minutes in a row back at what is usual (nearer to it than what would alarm), and keeps still a while.
5. What begins within a planned window is marked as planned: it is on the topic and the screen and goes through no channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace as _with

from schemas.alert import Alert, AlertState, Flow, Severity
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts import telling, volumes
from warroom.alerts.flows import Finding, Flows, worst
from warroom.alerts.lasting import Lasting, Stands, carry_on
from warroom.alerts.level import Fallen, Level
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.origin import Share, Splitter, named, origins
from warroom.alerts.rules import FlowRule, Rules, SeverityRule
from warroom.alerts.sources import Sources
from warroom.alerts.telling import MOST_OF_IT, Context, Stake
from warroom.alerts.volumes import Volumes

_TOGETHER = 15 * MINUTE_MS
"""Flows into one layer that begin within so long of each other are one story."""
_TOLD_MS = 60 * MINUTE_MS
"""So long after a flow's alert its end is in the windows of counts."""
_WORSE = 1.5
"""By how much more must be at stake for an open alert to be told anew."""
_HALF_BACK = 0.5
"""Of the change that alarmed: nearer to what is usual counts as back."""


class Incident(Struct, frozen=True, kw_only=True):
    """One alert's life: `began` is the minute in which it fired, `clear` counts minutes in a row back at what is usual, `ended` is 0 while
    it is open."""

    alert: Alert
    key: Key
    began: int
    minutes: int
    change: float
    at_stake: float
    clear: int = 0
    ended: int = 0
    with_it: tuple[tuple[str, str], ...] = ()

    @property
    def flows(self) -> tuple[tuple[str, str], ...]:
        """Its own flow, and those that are told with it."""
        return ((self.key.from_, self.key.to), *self.with_it)


class BrandState(Struct, frozen=True, kw_only=True):
    """Everything that must outlive the process: `judged` is the last minute judged, `well_since` since when the gate is open,
    `down` the alert that says why it is not; `lasting` are the alerts that are judged at `stood` and some times an hour."""

    brand: str
    judged: int = 0
    well_since: int = 0
    incidents: tuple[Incident, ...] = ()
    down: Alert | None = None
    lasting: tuple[Lasting, ...] = ()
    stood: int = 0


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a brand. `link` is the address of its alerts, `changes` what else was changed lately."""

    brand: str
    zone: str
    currency: str
    link: str = ""
    changes: tuple[telling.Change, ...] = ()


class Worth(Struct, frozen=True, kw_only=True):
    """What a user who comes to a layer is worth on average (minor units, by layer), and the brand's GMV an hour."""

    by_layer: dict[str, float]
    gmv_an_hour: float


class Judge:
    """One brand's engine. `state` is what to keep; `flows` is made anew from the figures at a start. `splitter` tells of a flow what part
    each campaign and store has."""

    def __init__(self, facts: Facts, flows: Flows, state: BrandState, splitter: Splitter = lambda *_: {}) -> None:
        self.facts = facts
        self._splitter = splitter
        self.flows = flows
        self.state = state
        self.sources = Sources()
        self.level = Level()
        self._volumes = Volumes()

    def remember(self, minutes: Sequence[Minute], rules: Rules) -> None:
        """The minutes up to now, of a start: they are learnt from, and nothing before their end is judged."""
        known = self.state.judged
        if minutes:
            well = self.state.well_since or (minutes[0].at if self.state.down is None else 0)
            self.state = _with(self.state, judged=max(known, minutes[-1].at), well_since=well)
        for minute in minutes:
            self._take(minute, rules)
            self._forgive(one for one in self.state.incidents if one.ended == minute.at)

    def silent_sources(self, rules: Rules, *, quiet: float = 0.0, over: bool = False) -> list[str]:
        """What is silent: an input topic while the others go on, the brand's all, or for `quiet` seconds those of every brand. `over`:
        later minutes than those judged are known to bring something."""
        rule = rules.pipeline
        if not rule.enabled:
            return []
        silent = [f"nothing comes by {topic}" for topic in self.sources.silent(rule.silent_surprise)]
        if self.sources.gone(rule.lag_seconds) and not over:
            silent.append("nothing comes of this brand by any topic")
        elif quiet >= rule.lag_seconds and self.sources.missing(quiet):
            silent.append(f"no input for {quiet:.0f} s")
        return silent

    def gate(self, causes: Sequence[str], at: int, rules: Rules) -> list[Alert]:
        """The pipeline's own alert: `causes` say what stands still, in English, none if nothing does; `at` is the time by the clock. It is
        also down while what comes has fallen to a trickle."""
        down, fallen = self.state.down, self.level.fallen if rules.pipeline.enabled else None
        if bool(causes or fallen) == (down is not None):
            return []
        if causes or fallen is None or down is not None:
            alert = telling_pipeline(self.facts.brand, causes, down, at, self._planned(rules, at))
        else:
            alert = self._trickle(fallen, at, rules)
        self.state = _with(self.state, down=alert if down is None else None, well_since=0)
        return [alert]

    def _trickle(self, fallen: Fallen, at: int, rules: Rules) -> Alert:
        alert = telling_pipeline(self.facts.brand, [], None, at, self._planned(rules, at))
        title, summary = telling.level_title(fallen), telling.level_summary(fallen, self.facts.zone, self._planned(rules, at))
        return _with(alert, title=title, summary=summary, since=to_rfc3339(fallen.since), observed=fallen.came, expected=fallen.usual)

    def judge(self, minute: Minute, rules: Rules, worth: Worth, *, well: bool) -> list[Alert]:
        """The next minute, which is complete. `well`: the pipeline has nothing to complain of.

        A minute that `state` says has been judged before is only learnt from: so a start reads the last day and goes on where it was.
        """
        at = minute.at
        self._take(minute, rules)
        if self.state.judged >= at:
            self._forgive(one for one in self.state.incidents if one.ended == at)
            return []
        away = rules.pipeline.enabled and self.sources.away
        since = 0 if away or not well else self.state.well_since or at
        incidents = {(one.key.from_, one.key.to): one for one in self.state.incidents}
        told: list[Alert] = []
        if since and at - since >= rules.pipeline.settle_minutes * MINUTE_MS * (self.state.judged > 0):
            told += self._go_on(incidents, at, rules, worth)
            if not (rules.pipeline.enabled and self.sources.doubtful(rules.pipeline.silent_surprise)):
                told += self._begin(incidents, at, rules, worth)
        else:
            self.flows.forgive()
        kept = tuple(one for one in incidents.values() if not one.ended or at - one.ended < 24 * 60 * MINUTE_MS)
        self.state = _with(self.state, judged=at, well_since=since, incidents=kept)
        return told

    def _take(self, minute: Minute, rules: Rules) -> None:
        self.flows.add(minute, self._frozen(minute.at))
        self.sources.add(minute)
        self.level.add(minute, rules.pipeline.trickle_share, rules.pipeline.silent_surprise)
        open_ = any(one.alert.rule == volumes.RULE and not one.ended for one in self.state.lasting)
        self._volumes.add(minute, frozen=open_)

    def stand(self, found: Sequence[Stands], at: int, rules: Rules) -> list[Alert]:
        """How promotions and spend stand at `at`, and counts; to be asked every EVERY_MS. Nothing is said while a topic may be silent."""
        if rules.pipeline.enabled and self.sources.doubtful(rules.pipeline.silent_surprise):
            return []
        if rules.count.enabled:
            words = telling.Words(zone=self.facts.zone, currency=self.facts.currency, link=self.facts.link)
            found = [*found, *self._volumes.stands(rules.count, words, self._told_by_flows(at))]
        told, kept = carry_on(self.facts.brand, self.state.lasting, found, at, self._planned(rules, at))
        self.state = _with(self.state, lasting=kept, stood=at)
        return told

    def _told_by_flows(self, at: int) -> frozenset[str]:
        """Counts of which a flow's alert tells, or did of late."""
        dropped = [one for one in self.state.incidents if one.change < 0 and (not one.ended or at - one.ended < _TOLD_MS)]
        bought = {one.key.to in self.flows.shape.bought for one in dropped}
        return frozenset({True: "orders", False: "joins"}[one] for one in bought)

    def _planned(self, rules: Rules, at: int) -> list[str]:
        return [one.note for one in rules.planned if one.holds(self.facts.brand, at)]

    def _frozen(self, at: int) -> frozenset[tuple[str, str]]:
        """Flows that alarm are no measure of what is usual."""
        held = (one for one in self.state.incidents if one.began < at and (not one.ended or at <= one.ended))
        return frozenset(pair for one in held for pair in one.flows)

    def _forgive(self, ended: Iterable[Incident]) -> None:
        """What was seen while an alert was open is not held against what comes after its end."""
        for one in ended:
            self.flows.forgive(*one.flows)

    def _go_on(self, incidents: dict[tuple[str, str], Incident], at: int, rules: Rules, worth: Worth) -> list[Alert]:
        told = []
        for pair, one in incidents.items():
            if one.ended:
                continue
            now = self.flows.measure(one.key, min(max(one.minutes, 3), 10), at)
            if now is None:
                continue
            rule = _rule(one, rules)
            back = abs(now.change) < _HALF_BACK * abs(one.change) or now.change * one.change < 0
            clear = one.clear + 1 if back else 0
            stake = self._stake(now, worth)
            if clear >= rule.clear_minutes:
                alert = self._record(one.alert, AlertState.RESOLVED, now, one, at, Severity.INFO, stake)
                incidents[pair] = _with(one, alert=alert, clear=clear, ended=at)
                self._forgive([one])
                told.append(alert)
            elif not back and stake.users > _WORSE * one.at_stake:
                severity = severity_of(stake, worth, rules.severity)
                alert = self._record(one.alert, AlertState.UPDATED, now, one, at, severity, stake)
                incidents[pair] = _with(one, alert=alert, clear=0, at_stake=float(stake.users), change=now.change)
                told.append(alert)
            else:
                incidents[pair] = _with(one, clear=clear)
        return told

    def _begin(self, incidents: dict[tuple[str, str], Incident], at: int, rules: Rules, worth: Worth) -> list[Alert]:
        told = []
        for rule, name, findings in (
            (rules.drop, "flow_drop", self.flows.drops(at, rules.drop) if rules.drop.enabled else ()),
            (rules.reverse, "reverse_flow_rise", self.flows.rises(at, rules.reverse) if rules.reverse.enabled else ()),
        ):
            for pair, found in worst(list(findings)).items():
                alert = self._candidate(incidents, pair, found, rule, name, at, rules, worth)
                if alert is not None:
                    told.append(alert)
        return told

    def _candidate(
        self,
        incidents: dict[tuple[str, str], Incident],
        pair: tuple[str, str],
        found: list[Finding],
        rule: FlowRule,
        name: str,
        at: int,
        rules: Rules,
        worth: Worth,
    ) -> Alert | None:
        before = incidents.get(pair)
        if before is not None and (not before.ended or at - before.ended < rule.cooldown_minutes * MINUTE_MS):
            return None
        finding, channels = self._scoped(pair, found, at)
        stake = self._stake(finding, worth)
        if stake.users < rule.least_users:
            return None
        parent = next((p for p, one in incidents.items() if _leads(one, pair, at)), None)
        if parent is not None:
            if pair not in incidents[parent].with_it:
                incidents[parent] = _with(incidents[parent], with_it=(*incidents[parent].with_it, pair))
            return None
        alert = self._firing(finding, channels, name, at, rules, stake, worth)
        incidents[pair] = Incident(
            alert=alert,
            key=finding.key,
            began=at,
            minutes=finding.minutes,
            change=finding.change,
            at_stake=float(stake.users),
        )
        return alert

    def _scoped(self, pair: tuple[str, str], found: list[Finding], at: int) -> tuple[Finding, list[Share]]:
        """The finding that says where it is: one channel's if most is missing there, else the whole brand's."""
        first = found[0]
        minutes = min(first.minutes, 60)
        channels = self.flows.by_channel(*pair, minutes) if first.change < 0 else []
        of_it = first.missing if first.key.channel is None else 0.0
        if channels and channels[0].share >= MOST_OF_IT and channels[0].missing >= MOST_OF_IT * of_it:
            narrow = self.flows.measure(Key(*pair, channels[0].label), minutes, at)
            if narrow is not None and narrow.change < 0:
                return _with(narrow, surprise=first.surprise, since=first.since, by_sag=first.by_sag), channels
        whole = next((one for one in found if one.key.channel is None), None)
        return whole or first, channels

    def _stake(self, finding: Finding, worth: Worth) -> Stake:
        users = abs(finding.missing) / max(1, finding.minutes) * 60
        value = worth.by_layer.get(finding.key.to if finding.change < 0 else finding.key.from_)
        return Stake(users=round(users), gmv=None if value is None else round(users * value))

    def _firing(self, finding: Finding, channels: Sequence[Share], name: str, at: int, rules: Rules, stake: Stake, worth: Worth) -> Alert:
        key = finding.key
        alert_id = f"{self.facts.brand[:60]}-{name}-{key.from_}-{key.to}-{at // MINUTE_MS}"
        planned = self._planned(rules, at)
        split = self._split(finding, at)
        context = Context(
            zone=self.facts.zone,
            currency=self.facts.currency,
            stake=stake,
            channels=channels,
            labels=split,
            changes=[*self._changes(finding.since, at), *(telling.Change(at=at, text={"en": note, "zh": note}) for note in planned)],
            link=self._link(alert_id),
        )
        scope = {} if key.channel is None else {"channel": key.channel}
        scope |= named(split, MOST_OF_IT)
        if planned:
            scope["planned"] = "true"
        return Alert(
            alert_id=alert_id,
            brand=self.facts.brand,
            rule=name,
            state=AlertState.FIRING,
            severity=Severity.INFO if planned else severity_of(stake, worth, rules.severity),
            title=telling.title(finding, key.channel),
            summary=telling.summary(finding, context),
            flow=Flow(from_=key.from_, to=key.to),
            scope=scope,
            observed=finding.now,
            expected=finding.usual,
            users_at_stake=stake.users,
            gmv_at_stake=stake.gmv,
            since=to_rfc3339(finding.since),
            at=to_rfc3339(at + MINUTE_MS),
            version=1,
        )

    def _link(self, alert_id: str) -> str:
        return f"{self.facts.link}&alert={quote(alert_id, safe='')}" if self.facts.link else ""

    def _split(self, finding: Finding, at: int) -> list[tuple[str, list[Share]]]:
        """The campaigns and stores that a drop comes from."""
        if finding.change >= 0:
            return []
        split = self._splitter(finding.key, finding.since, at + MINUTE_MS)
        return [(dimension, origins(counts, finding.expected)) for dimension, counts in split.items()]

    def _changes(self, since: int, at: int) -> list[telling.Change]:
        """What was changed about when it began, or since."""
        return [one for one in self.facts.changes if since - _TOGETHER <= one.at <= max(at, since + _TOGETHER)]

    def _record(self, before: Alert, state: AlertState, now: Finding, one: Incident, at: int, severity: Severity, stake: Stake) -> Alert:
        context = Context(
            zone=self.facts.zone,
            currency=self.facts.currency,
            stake=stake,
            others=[f"{from_}→{to}" for from_, to in one.with_it],
            changes=self._changes(from_rfc3339(before.since), at),
            link=self._link(before.alert_id),
        )
        resolved = state is AlertState.RESOLVED
        return _with(
            before,
            state=state,
            severity=severity,
            title=before.title if resolved else telling.title(now, one.key.channel),
            summary=telling.back(now, before, self.facts.zone) if resolved else telling.summary(now, context),
            observed=now.now,
            expected=now.usual,
            users_at_stake=before.users_at_stake if resolved else stake.users,
            gmv_at_stake=before.gmv_at_stake if resolved else stake.gmv,
            at=to_rfc3339(at + MINUTE_MS),
            version=before.version + 1,
        )


def telling_pipeline(brand: str, causes: Sequence[str], before: Alert | None, at: int, planned: Sequence[str] = ()) -> Alert:
    """The alert that the pipeline is down, or no longer; within a planned window it says so and goes through no channel."""
    if before is not None:
        over = {"en": "Figures move again; flows are judged again in some minutes.", "zh": "数据已恢复更新，数分钟后恢复流转判断。"}
        return _with(before, state=AlertState.RESOLVED, severity=Severity.INFO, summary=over, at=to_rfc3339(at), version=before.version + 1)
    told = "; ".join([*causes, *planned])
    return Alert(
        alert_id=f"{brand[:60]}-pipeline_down-{at // 1000}",
        brand=brand,
        rule="pipeline_down",
        state=AlertState.FIRING,
        severity=Severity.INFO if planned else Severity.CRITICAL,
        scope={"planned": "true"} if planned else {},
        title={"en": "The pipeline is down: flows are not judged", "zh": "数据链路异常：暂停流转判断"},
        summary={"en": f"{told}. Run `rflow doctor`.", "zh": f"{told}。请运行 `rflow doctor`。"},
        since=to_rfc3339(at),
        at=to_rfc3339(at),
        version=1,
    )


def severity_of(stake: Stake, worth: Worth, rule: SeverityRule) -> Severity:
    """By money an hour: its share of what the brand sells an hour, or an amount of its own."""
    gmv = stake.gmv or 0
    share = gmv / worth.gmv_an_hour if worth.gmv_an_hour > 0 else 0.0
    if share >= rule.critical_share or (rule.critical_gmv is not None and gmv >= rule.critical_gmv):
        return Severity.CRITICAL
    if share >= rule.warning_share or (rule.warning_gmv is not None and gmv >= rule.warning_gmv):
        return Severity.WARNING
    return Severity.INFO


def _leads(one: Incident, pair: tuple[str, str], at: int) -> bool:
    """Whether an open alert's story is that of another flow too: into the same layer, begun at the same time."""
    began = from_rfc3339(one.alert.since)
    shared = not one.ended and one.key.to == pair[1] and one.key.from_ != pair[0]
    return shared and (at - began <= 2 * _TOGETHER or pair in one.with_it)


def _rule(one: Incident, rules: Rules) -> FlowRule:
    return rules.reverse if one.alert.rule == "reverse_flow_rise" else rules.drop
