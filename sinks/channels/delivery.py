"""What a channel promises, and what can come of a delivery."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from schemas.alert import Alert


class TryLater(Exception):
    """The other side has not taken it, and may in `seconds`."""

    def __init__(self, why: str, seconds: float = 5.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Refused(Exception):
    """The other side will never take it: wrong key, wrong signature, wrong form."""


class Doubtful(Exception):
    """It was sent and not answered: it may have arrived. Only what may come twice is sent again."""


class Channel(Protocol):
    """One way out. `batch` alerts at most go with one message, `a_minute` messages at most (None: no bound)."""

    name: str
    batch: int
    a_minute: int | None
    may_repeat: bool
    """whether the other side knows a repeat for one"""

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over states of alerts, oldest first, as one message. Blocks for seconds. Raises TryLater, Refused or Doubtful."""


class Pace:
    """No more than so many messages within any minute. The clock (seconds) is passed in."""

    def __init__(self, a_minute: int | None) -> None:
        self._sent: deque[float] = deque(maxlen=a_minute)
        self._bound = a_minute

    def wait(self, now: float) -> float:
        """Seconds until the next message may go."""
        if self._bound is None or len(self._sent) < self._bound:
            return 0.0
        return max(0.0, self._sent[0] + 60.0 - now)

    def sent(self, now: float) -> None:
        """A message went, taken or not: refused ones count too with most."""
        self._sent.append(now)
