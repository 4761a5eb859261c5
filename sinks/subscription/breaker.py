"""Whether to ask a service that has failed again and again: not for a while, then once, then as before. Pure; the clock is passed in.

The circuit breaker of Nygard, Release It!, 2007: closed, open, half open.
"""

from __future__ import annotations

_FAILURES = 10
_FIRST_S, _MOST_S = 1.0, 30.0


class Breaker:
    """Opens at `failures` failures in a row, for `first` seconds, twice as long each time the trial fails, `most` at the most."""

    def __init__(self, failures: int = _FAILURES, first: float = _FIRST_S, most: float = _MOST_S) -> None:
        self._limit = failures
        self._first = self._pause = first
        self._most = most
        self._failed = 0
        self._until: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the service is being left alone, or asked a single thing."""
        return self._until is not None

    def wait(self, now: float) -> float:
        """Seconds until one may ask: 0 for now, and then it is one's turn; whoever has a turn must tell how it ended."""
        if self._until is None:
            return 0.0
        if self._trying:
            return self._first
        if now >= self._until:
            self._trying = True
            return 0.0
        return self._until - now

    def succeeded(self) -> None:
        """The service answered."""
        self._failed, self._pause, self._until, self._trying = 0, self._first, None, False

    def failed(self, now: float) -> bool:
        """The service did not, or said that it cannot now. Whether that opened the breaker."""
        if self._until is not None:
            if self._trying:
                self._pause = min(2 * self._pause, self._most)
                self._until, self._trying = now + self._pause, False
            return False
        self._failed += 1
        if self._failed < self._limit:
            return False
        self._until = now + self._pause
        return True

    def gave_up(self) -> None:
        """Whoever had a turn was stopped before it ended."""
        self._trying = False
