"""What a simulated day is to be like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.deadletter import Reason
from schemas.ladder import Ladder
from schemas.times import from_datetime
from sources.errors import SourceError
from sources.simulator.drop import Drop

BREAKABLE: tuple[Reason, ...] = (
    Reason.TOO_LARGE,
    Reason.INVALID_JSON,
    Reason.INVALID_FIELD,
    Reason.UNKNOWN_TYPE,
    Reason.FUTURE,
    Reason.WRONG_CURRENCY,
)
"""The ways in which a line can be broken. Not among them: an empty record, which is no line, and one on a wrong topic or
partition, which is the producer's mistake and not the line's."""


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """A day of `events` lines among `users` people, from `start` for `hours`, both in the ladder's time zone.

    `peak`: how many times a usual moment's traffic comes at the first midnight after the start, within seconds; 1 for none.
    The shares are of all lines: `late` (they arrive 11 to 60 minutes after they occurred), `broken` (dead letters, each of
    `broken_reasons`), `retries` (a line again, byte for byte, soon after), `text_times` (RFC 3339 instead of milliseconds);
    `double_orders` is a share of the orders (they are told again under another event id). With late, broken and retries at 0
    the lines are in order of time, and every one counts but the double orders.

    Leave FUTURE out of `broken_reasons` where the future check is off: such a record would move the clock by centuries.
    The first brand is the largest, each following one half as large as the one before. Raises SourceError.
    """

    ladder: Ladder
    seed: int = 1
    users: int = 20_000
    events: int = 200_000
    brands: tuple[str, ...] = ("acme", "nova", "山茶")
    start: datetime = datetime(2025, 11, 10, 18)
    hours: float = 30.0
    peak: float = 56.0
    late: float = 0.005
    broken: float = 0.002
    retries: float = 0.005
    double_orders: float = 0.005
    text_times: float = 0.01
    broken_reasons: tuple[Reason, ...] = BREAKABLE
    drops: tuple[Drop, ...] = ()

    def __post_init__(self) -> None:
        mistakes = [message for wrong, message in self._checks() if wrong]
        if mistakes:
            raise SourceError("\n".join(mistakes))

    @property
    def start_ms(self) -> int:
        """When the first second begins, in epoch milliseconds."""
        return from_datetime(self.start.replace(tzinfo=ZoneInfo(self.ladder.time_zone)))

    @property
    def sale_day(self) -> date:
        """The day with whose beginning the sale begins: at the first midnight from the start on."""
        day = self.start.date()
        return day if self.start == datetime.combine(day, time()) else day + timedelta(days=1)

    @property
    def brand_shares(self) -> list[float]:
        """Each brand's share of people and events; they add up to 1."""
        weights = [2.0**-i for i in range(len(self.brands))]
        return [weight / sum(weights) for weight in weights]

    @property
    def seconds(self) -> int:
        """How many seconds the day has."""
        return round(self.hours * 3600)

    def _checks(self) -> list[tuple[bool, str]]:
        shares = {name: getattr(self, name) for name in ("late", "broken", "retries", "double_orders", "text_times")}
        return [
            (self.users < len(self.brands), f"expected at least one user a brand, found {self.users} for {len(self.brands)} brands"),
            (self.events < 0, f"expected no negative number of events, found {self.events}"),
            (not self.brands, "expected at least one brand, found none"),
            (len(set(self.brands)) < len(self.brands), f"expected each brand once, found {', '.join(self.brands)}"),
            (any(not 0 < len(brand) <= 128 for brand in self.brands), "expected brands of 1 to 128 characters"),
            (self.start.tzinfo is not None, f"expected a start without an offset, in {self.ladder.time_zone}, found {self.start}"),
            (not 1 <= self.seconds <= 31 * 86_400, f"expected from a second to 31 days, found {self.hours} hours"),
            (not 1 <= self.peak <= 1000, f"expected a peak of 1 to 1000 times the usual, found {self.peak}"),
            (any(not 0 <= share <= 1 for share in shares.values()), f"expected shares from 0 to 1, found {shares}"),
            (self.broken + self.retries > 0.9, f"expected some sound lines, found {shares}"),
            (
                not set(self.broken_reasons) <= set(BREAKABLE) or (self.broken > 0 and not self.broken_reasons),
                f"expected ways to break a line among {', '.join(BREAKABLE)}, found {', '.join(self.broken_reasons) or 'none'}",
            ),
        ]
