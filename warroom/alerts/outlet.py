"""A way out with its own pace and patience, on a thread of its own: an outage of one delays that one.

Of each state of an alert one message goes. What is sent is noted first: where nobody knows whether it has arrived (no answer, or a process
that died in between), it goes again only to those who know a repeat for one; else it is counted, told in the log, and passed over.

A silence holds back beginnings and news, never an end: who was told of an alert is told that it is over, and who was told nothing of it
is not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.exceptions import RedisError

from schemas.alert import Alert, AlertState
from sinks.channels.delivery import Channel, Doubtful, Pace, Refused, TryLater
from streams import metrics
from warroom.alerts.book import AlertBook, Told
from warroom.alerts.silence import silence_of

log = logging.getLogger("rflow.alerts")

_IDLE_SECONDS = 0.5
_MOST_SECONDS = 300.0


class _Sifted(NamedTuple):
    """What is wanted; whose beginning is withheld from now on, and whose no longer."""

    wanted: list[Alert]
    withheld: set[str]
    known: set[str]


class Outlet:
    """One channel. `clock` is the time in milliseconds; `to_all`: also what is silenced or planned (the topic)."""

    def __init__(self, channel: Channel, book: AlertBook, clock: Callable[[], int], *, to_all: bool = False) -> None:
        self.channel = channel
        self._book = book
        self._clock = clock
        self._to_all = to_all
        self._pace = Pace(channel.a_minute)
        self._failures = 0

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop`."""
        while not stop.is_set():
            try:
                wait = self.step()
            except (RedisError, OSError) as error:
                self._complain("Redis does not answer", error)
                wait = 2.0
            except Exception:
                log.exception("alerts by %s stumbled", self.channel.name)
                wait = 10.0
            stop.wait(wait)

    def step(self) -> float:
        """Deliver what is there, as one message; seconds until the next step."""
        told = self._book.unread(self.channel.name, self.channel.batch)
        if not told:
            return _IDLE_SECONDS
        told = self._without_doubtful(told)
        if not told:
            return 0.0
        sifted = self._sifted(told)
        wanted = sifted.wanted
        wait = self._pace.wait(time.monotonic()) if wanted else 0.0
        if wait > 0:
            return wait
        last = told[-1].entry
        try:
            if wanted:
                self._send(wanted, last)
        except TryLater as error:
            self._book.not_sent(self.channel.name)
            self._complain("not taken now", error)
            return min(_MOST_SECONDS, max(error.seconds, 2.0 ** min(self._failures, 8)))
        except Doubtful as error:
            self._complain("no answer", error)
            if self.channel.may_repeat:
                return min(_MOST_SECONDS, 2.0 ** min(self._failures, 8))
            self._give_up(wanted, "doubtful")
        except Refused as error:
            self._complain("refused", error)
            self._give_up(wanted, "refused")
        else:
            self._failures = 0
            metrics.ALERT_MESSAGES.labels(self.channel.name, "sent").inc(len(wanted))
        metrics.ALERT_MESSAGES.labels(self.channel.name, "silent").inc(len(told) - len(wanted))
        self._book.done(self.channel.name, last, sifted.withheld, sifted.known)
        return 0.0

    def _send(self, alerts: Sequence[Alert], last: str) -> None:
        self._book.trying(self.channel.name, last)
        self._pace.sent(time.monotonic())
        self.channel.deliver(alerts)

    def _without_doubtful(self, told: list[Told]) -> list[Told]:
        """Without what a process that died was sending, where a repeat would be a second message."""
        tried = None if self.channel.may_repeat or self._failures else self._book.tried(self.channel.name)
        if tried is None:
            return told
        doubtful = [one for one in told if _key(one.entry) <= _key(tried)]
        self._give_up([one.alert for one in doubtful], "doubtful")
        self._book.done(self.channel.name, tried)
        return told[len(doubtful) :]

    def _sifted(self, told: Sequence[Told]) -> _Sifted:
        """What goes out of what was told."""
        if self._to_all:
            return _Sifted([one.alert for one in told], set(), set())
        silences, now, before = self._book.silences(), self._clock(), self._book.withheld(self.channel.name)
        wanted, withheld = [], set(before)
        for alert in (one.alert for one in told if "planned" not in one.alert.scope):
            over = alert.state is AlertState.RESOLVED
            goes = alert.alert_id not in withheld if over else silence_of(silences, alert, now) is None
            if goes:
                wanted.append(alert)
            if goes or over:
                withheld.discard(alert.alert_id)
            elif alert.state is AlertState.FIRING:
                withheld.add(alert.alert_id)
        return _Sifted(wanted, withheld - before, before - withheld)

    def _give_up(self, alerts: Sequence[Alert], outcome: str) -> None:
        metrics.ALERT_MESSAGES.labels(self.channel.name, outcome).inc(len(alerts))
        ids = ", ".join(f"{one.alert_id}:{one.version}" for one in alerts[:5])
        log.error("alerts by %s not sent again (%s): %s", self.channel.name, outcome, ids)

    def _complain(self, what: str, error: Exception) -> None:
        if self._failures == 0:  # once, not with every try
            log.warning("alerts by %s are not taken: %s: %s", self.channel.name, what, str(error).partition("\n")[0][:300])
        self._failures += 1


def _key(entry: str) -> tuple[int, int]:
    ms, _, number = entry.partition("-")
    return int(ms), int(number)
