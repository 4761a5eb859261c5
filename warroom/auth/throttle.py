"""Login throttling and rate limits: token buckets by whoever is asking, in bounded memory. The clock is passed in, in seconds."""

from __future__ import annotations

from collections import OrderedDict

_MOST_KEPT = 10_000


class Buckets:
    """A bucket a key, of `burst` tokens, refilled by `rate` a second; the keys used longest ago are forgotten first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """Takes a token: 0, or the seconds until there is one."""
        tokens = self._tokens(key, now)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._keep(key, tokens - 1 if tokens >= 1 else tokens, now)
        return wait

    def wait(self, key: str, now: float) -> float:
        """Seconds until there is a token, without taking one."""
        tokens = self._tokens(key, now)
        return 0.0 if tokens >= 1 else (1 - tokens) / self._rate

    def refill(self, key: str) -> None:
        """Forget the key: its bucket is full again."""
        self._kept.pop(key, None)

    def _tokens(self, key: str, now: float) -> float:
        tokens, at = self._kept.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - at) * self._rate)

    def _keep(self, key: str, tokens: float, now: float) -> None:
        self._kept[key] = (tokens, now)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


class LoginThrottle:
    """Failed logins cost: of a user five at once and then one in 30 seconds, of an address twenty and then one in 5 seconds.

    A login that succeeds clears its user's account, not its address'.
    """

    def __init__(self) -> None:
        self._users = Buckets(1 / 30, 5)
        self._addresses = Buckets(1 / 5, 20)

    def wait(self, user: str, address: str, now: float) -> float:
        """Seconds until a login may be tried."""
        return max(self._users.wait(user, now), self._addresses.wait(address, now))

    def failed(self, user: str, address: str, now: float) -> None:
        """A login failed, or is being tried: it counts until it has succeeded."""
        self._users.take(user, now)
        self._addresses.take(address, now)

    def succeeded(self, user: str) -> None:
        """A login succeeded."""
        self._users.refill(user)
