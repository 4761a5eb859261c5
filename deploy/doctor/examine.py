"""All looks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy.doctor import clickhouse, host, kafka, published, redis
from deploy.doctor.finding import Finding, Level, first_line
from deploy.settings import Settings

_LOOKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "host": host.look,
    "kafka": kafka.look,
    "redis": redis.look,
    "clickhouse": clickhouse.look,
    "kafka and redis": published.look,
}


def examine(settings: Settings) -> list[Finding]:
    """Looks at everything; never raises for what it finds."""
    return [finding for name, look in _LOOKS.items() for finding in _guarded(name, look, settings)]


def _guarded(name: str, look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except Exception as error:
        yield Finding(name, Level.WRONG, first_line(error), "see that it runs, can be reached from here, and lets this user in")
