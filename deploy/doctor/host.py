"""What can be seen without asking a server: the ladder, files with secrets, what goes over the network in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from deploy.doctor.finding import Finding, Level, judged
from deploy.settings import Settings
from deploy.wiring import is_loopback, ladder_of
from schemas.ladder_file import LadderError


def look(settings: Settings) -> Iterator[Finding]:
    """The ladder, the network, files, and Kafka options that break a promise."""
    try:
        ladder = ladder_of(settings)
    except LadderError as error:
        yield Finding("ladder", Level.WRONG, str(error), "mend the file that RFLOW_LADDER names")
    else:
        yield Finding("ladder", Level.GOOD, f"{ladder.id}, {len(ladder.layers)} layers")
    yield from _in_the_clear(settings)
    for name in ("warroom_accounts", "alert_channels", "collect_sources", "pseudonym_key_file"):
        yield from _secret_file(name, getattr(settings, name))
    yield from _kafka_options(settings)
    yield judged(
        "session timeout",
        settings.session_timeout <= 60,
        f"{settings.session_timeout:g} s",
        "set RFLOW_SESSION_TIMEOUT to some ten seconds: for so long a dead worker's shards stand still",
        otherwise=Level.RISK,
    )


def _in_the_clear(settings: Settings) -> Iterator[Finding]:
    """One finding for each server that is spoken to without TLS beyond this machine."""
    protocol = str(settings.kafka.get("security.protocol", "plaintext")).lower()
    brokers = [broker.rpartition(":")[0].strip("[] ") for broker in settings.kafka_bootstrap.split(",")]
    redis = urlsplit(settings.redis_url.get_secret_value())
    clickhouse = urlsplit(settings.clickhouse_url.get_secret_value())
    for what, encrypted, hosts, advice in (
        ("kafka", protocol.endswith("ssl"), brokers, '"security.protocol" = "sasl_ssl" under [kafka]'),
        ("redis", redis.scheme != "redis", [redis.hostname or ""], "rediss:// in RFLOW_REDIS_URL"),
        ("clickhouse", clickhouse.scheme == "https", [clickhouse.hostname or ""], "https:// in RFLOW_CLICKHOUSE_URL"),
    ):
        away = [] if encrypted else [host for host in hosts if not is_loopback(host)]
        yield judged(
            f"{what} encryption",
            not away,
            f"plain text to {', '.join(away)}" if away else "TLS" if encrypted else "stays on this machine",
            f"user ids and passwords can be read on the way: {advice}",
            otherwise=Level.RISK,
        )


def _secret_file(name: str, path: str) -> Iterator[Finding]:
    if not path:
        return
    try:
        mode = Path(path).stat().st_mode & 0o777
    except OSError as error:
        yield Finding(name, Level.WRONG, f"{path}: {error.strerror}", f"see that RFLOW_{name.upper()} names a file that can be read")
        return
    yield judged(name, not mode & 0o077, f"{path}, mode {mode:o}", f"it holds secrets: chmod 600 {path}", otherwise=Level.RISK)


_SPOILT = {
    "enable.idempotence": (("true", "1"), "records could be lost, doubled or out of order"),
    "acks": (("all", "-1"), "a record that Kafka acknowledged could be lost"),
    "request.required.acks": (("all", "-1"), "a record that Kafka acknowledged could be lost"),
}


def _kafka_options(settings: Settings) -> Iterator[Finding]:
    spoilt = [
        f"{name}={settings.kafka[name]}: {why}"
        for name, (fine, why) in _SPOILT.items()
        if name in settings.kafka and str(settings.kafka[name]).lower() not in fine
    ]
    yield judged("kafka options", not spoilt, "; ".join(spoilt) or "keep every promise", "take them out of the table [kafka]")
