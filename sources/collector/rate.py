"""How many records a source may send: a token bucket. The clock is passed in, in seconds."""

from __future__ import annotations


class Bucket:
    """Holds `burst` tokens, refilled by `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = 0.0

    def take(self, count: int, now: float) -> float:
        """Takes so many tokens: 0, or the seconds until they are there. Who takes more than the bucket holds waits until it is full, and
        leaves a debt."""
        tokens = min(self.burst, self._tokens + (now - self._at) * self.rate) if self._at else self.burst
        self._at = now
        missing = min(count, self.burst) - tokens
        self._tokens = tokens if missing > 0 else tokens - count
        return missing / self.rate if missing > 0 else 0.0
