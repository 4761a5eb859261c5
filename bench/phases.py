"""A worker that tells its CPU time by phase: `python -m bench.phases` runs `rflow worker` with a meter around each part of the step.

The step's own histograms are of wall-clock time, in which a shard that waits for Redis, and the others that work meanwhile, count
alike. Here a coroutine's time is what its thread used while it ran, each time it was resumed. Metering costs well under a microsecond
for thousands of events, but it is a worker of its own all the same: what is told of throughput comes from unmetered ones.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from prometheus_client import Gauge

from streams.fold import Fold
from streams.intake import Intake
from streams.logs import LogReader
from streams.publisher import Publisher
from streams.shard import Shard
from streams.store import ShardStore

METRIC = "rflow_bench_phase_cpu_seconds"
PHASES = ("fetch", "decode", "merge", "step", "read", "fold", "apply", "publish", "acknowledge")
T = TypeVar("T")
_NONE = ""


class Meter:
    """CPU seconds of this thread by phase. What a phase calls that is a phase of its own counts there alone."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.seconds = dict.fromkeys((*PHASES, _NONE), 0.0)
        self._clock = clock
        self._phase = _NONE
        self._since = clock()

    def run(self, phase: str, inner: Callable[[], T]) -> T:
        """Calls `inner` as part of the phase."""
        outer = self._switch(phase)
        try:
            return inner()
        finally:
            self._switch(outer)

    def function(self, phase: str, inner: Callable[..., T]) -> Callable[..., T]:
        """A function, metered."""

        @functools.wraps(inner)
        def metered(*args: Any, **kwargs: Any) -> T:
            return self.run(phase, lambda: inner(*args, **kwargs))

        return metered

    def coroutine(self, phase: str, inner: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        """A coroutine function, metered whenever it runs and not while it waits."""

        @functools.wraps(inner)
        async def metered(*args: Any, **kwargs: Any) -> T:
            result: T = await _Resumed(self, phase, inner(*args, **kwargs))
            return result

        return metered

    def _switch(self, phase: str) -> str:
        now, before = self._clock(), self._phase
        self.seconds[before] += now - self._since
        self._phase, self._since = phase, now
        return before


class _Resumed:
    """Drives a coroutine and meters every stretch between two of its waits."""

    def __init__(self, meter: Meter, phase: str, inner: Coroutine[Any, Any, Any]) -> None:
        self._meter = meter
        self._phase = phase
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = functools.partial(self._inner.send, None)
        while True:
            try:
                waits_for = self._meter.run(self._phase, step)
            except StopIteration as done:
                return done.value
            try:
                sent = yield waits_for
            except BaseException as error:  # cancellations, too, are the inner coroutine's to handle
                step = functools.partial(self._inner.throw, error)
            else:
                step = functools.partial(self._inner.send, sent)


def install(meter: Meter) -> None:
    """Puts the meter around the parts of the step, for this process."""
    LogReader.fetch = meter.coroutine("fetch", LogReader.fetch)  # type: ignore[method-assign]
    Shard.feed = meter.function("decode", Shard.feed)  # type: ignore[method-assign]
    Intake.take = meter.function("merge", Intake.take)  # type: ignore[method-assign]
    Shard.run = meter.coroutine("step", Shard.run)  # type: ignore[method-assign]
    ShardStore.read = meter.coroutine("read", ShardStore.read)  # type: ignore[method-assign]
    ShardStore.write = meter.coroutine("apply", ShardStore.write)  # type: ignore[method-assign]
    Shard._fold = meter.function("fold", Shard._fold)  # type: ignore[method-assign]
    Fold.finish = meter.function("fold", Fold.finish)  # type: ignore[method-assign]
    Publisher.publish = meter.coroutine("publish", Publisher.publish)  # type: ignore[method-assign]
    Publisher.run = meter.coroutine("acknowledge", Publisher.run)  # type: ignore[method-assign]


def main() -> None:
    """Runs a worker with the meter's figures among its metrics."""
    from deploy.cli.processes import worker

    meter = Meter()
    install(meter)
    gauge = Gauge(METRIC, "CPU seconds of the main thread by phase.", ["phase"])
    for phase in PHASES:
        gauge.labels(phase).set_function(functools.partial(meter.seconds.__getitem__, phase))
    worker()


if __name__ == "__main__":
    main()
