"""Waiting for what is away: exponential backoff, bounded, interrupted by the order to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from sinks.config import SinkConfig
from sinks.errors import Stopped, StoreAway
from sinks.reader import KafkaAway
from streams import metrics

log = logging.getLogger("rflow.sink")

T = TypeVar("T")


class Patience:
    """Tries again until it works. `waiting` is told why it waits, and "" once it does no more."""

    def __init__(self, config: SinkConfig, stop: threading.Event, waiting: Callable[[str], None]) -> None:
        self._first = config.backoff_first
        self._most = config.backoff_most
        self._stop = stop
        self._waiting = waiting

    def insist(self, attempt: Callable[[int], T]) -> T:
        """The result of the first `attempt(n)`, n = 1, 2, ..., that does not find ClickHouse or Kafka away. Raises Stopped."""
        wait = self._first
        n = 1
        while True:
            if self._stop.is_set():
                raise Stopped
            try:
                result = attempt(n)
            except StoreAway as error:
                metrics.SINK_ERRORS.inc()
                metrics.SINK_UP.set(0)
                why = str(error)
            except KafkaAway as error:
                why = str(error)
            else:
                if n > 1:
                    self._waiting("")
                return result
            if n == 1:
                log.warning("%s; trying again until it does", why)
            self._waiting(why)
            if self._stop.wait(wait):
                raise Stopped
            wait = min(wait * 2, self._most)
            n += 1
