"""A slow sag that no single minute shows: CUSUM.

Page 1954, "Continuous inspection schemes", Biometrika 41: the log likelihood ratio of a rate `DEPTH` lower against the usual one is summed
minute by minute and never falls below 0. No scheme with as few false alarms finds such a sag sooner (Moustakides 1986, Annals of
Statistics 14). With a bar h the mean time between false alarms is at least e^h minutes (Lorden 1971, Annals of Mathematical Statistics
42). The ratio is the binomial's; where rates scatter more, it is divided by how many times more (quasi-likelihood, McCullagh and Nelder,
"Generalized Linear Models", 2nd edition, section 4.5), else every scatter would sum up to a sag. How many times more is that of a stretch
of `STRETCH` minutes: the scatter of minutes next to each other is the same, so their sum has it in full.
"""

from __future__ import annotations

from math import log

from msgspec import Struct

from warroom.alerts.conversion import UsualRate

DEPTH = 0.2
"""The sag it is tuned to, as a fraction of the usual rate; half as deep a one it finds later, a deeper one sooner."""
BAR = 14.0
"""e^14 minutes: two years and a quarter between false alarms of one flow, or one in eight days among a hundred."""


STRETCH = 10
"""Minutes whose scatter is one."""


class Sag(Struct, frozen=True, kw_only=True):
    """The sum so far, and what was done and tried since it was last 0, from `since` on (epoch milliseconds)."""

    total: float = 0.0
    since: int = 0
    done: int = 0
    tried: int = 0

    @property
    def alarming(self) -> bool:
        """Whether it has come to the bar."""
        return self.total >= BAR


def after(sag: Sag, at: int, done: int, tried: int, usual: UsualRate) -> Sag:
    """The sum after the minute that began at `at`, in which of `tried` so many were done."""
    lower = usual.rate * (1 - DEPTH)
    ratio = done * log(lower / usual.rate) + (tried - done) * log((1 - lower) / (1 - usual.rate))
    total = max(0.0, sag.total + ratio / (1 + max(0, STRETCH * tried - 1) * usual.rho))
    if total == 0.0:
        return Sag(since=at + 60_000)
    return Sag(total=min(total, 2 * BAR), since=sag.since or at, done=sag.done + done, tried=sag.tried + tried)
