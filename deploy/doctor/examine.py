"""All looks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from deploy.doctor import clickhouse, host, kafka, published, redis
from deploy.doctor.finding import Finding, Level, first_line
from deploy.security.rights import Process
from deploy.settings import Settings

_Look = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings, process: Process = Process.WORKER) -> list[Finding]:
    """Looks at everything, rights as `process` needs them; never raises for what it finds."""
    looks: dict[str, _Look] = {
        "host": host.look,
        "kafka": partial(kafka.look, process=process),
        "redis": partial(redis.look, process=process),
        "clickhouse": clickhouse.look,
        "kafka and redis": published.look,
    }
    found: list[Finding] = []
    for name, look in looks.items():
        # Of both together nothing can be said, and much time be lost, where one of them does not answer.
        if not any(one.what in name.split(" and ") and not one.good for one in found):
            found += _guarded(name, look, settings)
    return found


def _guarded(name: str, look: _Look, settings: Settings) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except Exception as error:
        yield Finding(name, Level.WRONG, first_line(error), "see that it runs, can be reached from here, and lets this user in")
