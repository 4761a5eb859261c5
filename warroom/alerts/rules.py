"""The rules of alerts, as a file: `alerts.yaml`. Without one the defaults here hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.fields import Minute as Instant
from schemas.times import from_rfc3339
from schemas.yaml_reader import KeyPath, MistakesError, read_yaml

Fraction = Annotated[float, Meta(ge=0.01, le=1.0)]
AlarmsADay = Annotated[float, Meta(ge=0.001, le=100)]
Surprise = Annotated[float, Meta(ge=2, le=30)]
Minutes = Annotated[int, Meta(ge=0, le=1_440)]


class FlowRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a flow's rate alarms.

    `false_alarms`: how many a day chance may bring at most, of all flows and channels of a brand together. `least_change`: a
    fraction of what is usual. `least_expected`: moves that were to be expected in the minutes judged. `least_users`: users at stake an
    hour. It resolves after `clear_minutes` in a row without, and keeps still for `cooldown_minutes` afterwards.
    """

    enabled: bool = True
    false_alarms: AlarmsADay = 1.0
    least_change: Fraction = 0.08
    least_expected: Annotated[float, Meta(ge=1, le=1e9)] = 10.0
    least_users: Annotated[float, Meta(ge=0, le=1e9)] = 10.0
    clear_minutes: Annotated[int, Meta(ge=1, le=240)] = 3
    cooldown_minutes: Minutes = 15
    by_channel: bool = True


class PipelineRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the pipeline itself alarms: figures that stand still for `lag_seconds`, an input topic that falls silent, and with
    `ledger` sums that ought to be equal and for as long are not. Also all that comes of a brand, if it is below `trickle_share` of
    what is usual for five minutes; 0: never.

    Until it has been well for `settle_minutes`, no flow alarms.
    """

    enabled: bool = True
    lag_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 150
    silent_surprise: Surprise = 9.0
    trickle_share: Annotated[float, Meta(ge=0.0, le=0.8)] = 0.4
    settle_minutes: Minutes = 5
    ledger: bool = True


class PaceRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a promotion's pace alarms: the chance that it still comes to its target is `chance` or less, and its projected end short of
    it by `least_shortfall` (a fraction of the target) or more; from `critical_shortfall` on it is critical. Judged from when `least_due`
    of the plan is due: before that the projection hangs on the plan's shape.
    """

    enabled: bool = True
    chance: Annotated[float, Meta(gt=0, le=0.5)] = 0.01
    least_shortfall: Fraction = 0.05
    critical_shortfall: Fraction = 0.2
    least_due: Annotated[float, Meta(ge=0.01, le=1.0)] = 0.2


class SpendRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When spend alarms: a channel's or campaign's of a day, of `least_spend` (minor units) or more, brings fewer orders than the same
    money did before, by `least_change` (a fraction) or more and by chance with less than 10^-surprise."""

    enabled: bool = True
    surprise: Surprise = 5.0
    least_change: Fraction = 0.5
    least_spend: Annotated[int, Meta(ge=0)] = 10_000


class CountRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When orders, joins or exposures alarm as too few: by `least_change` (a fraction) or more of what everything else lets expect, of
    `least_expected` or more. `false_alarms`: how many a day chance may bring at most, of all of them together."""

    enabled: bool = True
    false_alarms: AlarmsADay = 0.02
    least_change: Fraction = 0.3
    least_expected: Annotated[float, Meta(ge=1, le=1e9)] = 50.0


class SeverityRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From which share of the brand's GMV an hour an alert warns, and is critical; also from so much money (minor units, null: none)."""

    warning_share: Fraction = 0.02
    critical_share: Fraction = 0.1
    warning_gmv: Annotated[int, Meta(ge=0)] | None = None
    critical_gmv: Annotated[int, Meta(ge=0)] | None = None


class Planned(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A maintenance window or planned change: what begins within it is told as planned and reaches no channel."""

    from_: Instant = field(name="from")
    to: Instant
    note: Annotated[str, Meta(min_length=1, max_length=500)]
    brand: str | None = None

    def holds(self, brand: str, at: int) -> bool:
        """Whether it covers the brand at that time, epoch milliseconds."""
        return self.brand in (None, brand) and from_rfc3339(self.from_) <= at < from_rfc3339(self.to)


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All rules. `version` is told by the log when they take effect, and by a metric."""

    version: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    drop: FlowRule = FlowRule()
    reverse: FlowRule = FlowRule(false_alarms=0.1, least_change=0.5)
    pipeline: PipelineRule = PipelineRule()
    pace: PaceRule = PaceRule()
    spend: SpendRule = SpendRule()
    count: CountRule = CountRule()
    severity: SeverityRule = SeverityRule()
    planned: tuple[Planned, ...] = ()


class RulesError(ValueError):
    """A file of rules that cannot be used: a line for each mistake."""


def read_rules(text: str, file: str) -> Rules:
    """The rules that a YAML text states; what it leaves out is as by default. Raises RulesError."""
    try:
        document = read_yaml(text, file, Rules)
    except MistakesError as error:
        raise RulesError(str(error)) from None
    found = _mistakes(document.value)
    if found:
        raise RulesError("\n".join(f"{file}:{document.line(path)}: {message}" for path, message in found))
    return document.value


def load_rules(path: Path) -> Rules:
    """The rules of a file. Raises RulesError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}") from None
    return read_rules(text, str(path))


def _mistakes(rules: Rules) -> list[tuple[KeyPath, str]]:
    found: list[tuple[KeyPath, str]] = []
    if rules.severity.critical_share < rules.severity.warning_share:
        found.append((("severity", "critical_share"), f"expected at least warning_share, {rules.severity.warning_share}"))
    if rules.pace.critical_shortfall < rules.pace.least_shortfall:
        found.append((("pace", "critical_shortfall"), f"expected at least least_shortfall, {rules.pace.least_shortfall}"))
    for i, one in enumerate(rules.planned):
        if from_rfc3339(one.to) <= from_rfc3339(one.from_):
            found.append((("planned", i, "to"), f"expected an end after {one.from_}, found {one.to}"))
    return found
