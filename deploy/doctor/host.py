"""What can be seen without asking a server: the ladder, files with secrets, what goes over the network in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from deploy.doctor.finding import Finding, Level, judged
from deploy.doctor.reach import SERVERS, beyond, logs_in
from deploy.security.kafka import protocol_of
from deploy.settings import SECRETS, Settings
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
    yield from _open_to_all(settings)
    yield from _unchecked(settings)
    for name in ("warroom_accounts", "alert_channels", "collect_sources", "pseudonym_key_file", *(f"{secret}_file" for secret in SECRETS)):
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
    protocol = protocol_of(settings.kafka)
    redis = urlsplit(settings.redis_url.get_secret_value())
    clickhouse = urlsplit(settings.clickhouse_url.get_secret_value())
    tokens = urlsplit(str(settings.kafka.get("sasl.oauthbearer.token.endpoint.url", "")))
    provider = [tokens.hostname] if tokens.hostname and not is_loopback(tokens.hostname) else []
    for what, encrypted, far, advice in (
        ("kafka tokens", tokens.scheme == "https", provider, "an https address of the provider"),
        ("kafka", protocol.endswith("ssl"), beyond(settings, "kafka"), '"security.protocol" = "sasl_ssl" under [kafka]'),
        ("redis", redis.scheme != "redis", beyond(settings, "redis"), "rediss:// in RFLOW_REDIS_URL"),
        ("clickhouse", clickhouse.scheme == "https", beyond(settings, "clickhouse"), "https:// in RFLOW_CLICKHOUSE_URL"),
    ):
        away = [] if encrypted else far
        yield judged(
            f"{what} encryption",
            not away,
            f"plain text to {', '.join(away)}" if away else "TLS" if encrypted else "stays on this machine",
            f"user ids and passwords can be read on the way: {advice}",
            otherwise=Level.RISK,
        )


def _open_to_all(settings: Settings) -> Iterator[Finding]:
    """One finding for each server beyond this machine that does not ask who comes."""
    for server in SERVERS:
        known, away = logs_in(settings, server), beyond(settings, server)
        yield judged(
            f"{server} login",
            known or not away,
            "logs in" if known else f"without, at {', '.join(away)}" if away else "without, on this machine",
            f"whoever reaches it may do what rflow may: give it users, and set RFLOW_{server.upper()}_USER and its password (SECURITY.md)",
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


def _unchecked(settings: Settings) -> Iterator[Finding]:
    """One finding for each server whose certificate would be taken without being looked at."""
    redis = {**settings.redis, **dict(parse_qsl(urlsplit(settings.redis_url.get_secret_value()).query))}
    clickhouse = {**settings.clickhouse, **dict(parse_qsl(urlsplit(settings.clickhouse_url.get_secret_value()).query))}
    off = {
        "kafka": _says(settings.kafka.get("enable.ssl.certificate.verification"), "false")
        or _says(settings.kafka.get("ssl.endpoint.identification.algorithm"), "none"),
        "redis": _says(redis.get("ssl_cert_reqs"), "none") or _says(redis.get("ssl_check_hostname"), "false"),
        "clickhouse": _says(clickhouse.get("verify"), "false"),
    }
    for what, is_off in off.items():
        yield judged(
            f"{what} certificate",
            not is_off,
            "not looked at" if is_off else "looked at wherever TLS is spoken",
            "anybody on the way could pass for it and learn the password: take the option away and name the authority's file",
            otherwise=Level.RISK,
        )


def _says(value: object, word: str) -> bool:
    return value is not None and str(value).lower() == word


def _kafka_options(settings: Settings) -> Iterator[Finding]:
    spoilt = [
        f"{name}={settings.kafka[name]}: {why}"
        for name, (fine, why) in _SPOILT.items()
        if name in settings.kafka and str(settings.kafka[name]).lower() not in fine
    ]
    yield judged("kafka options", not spoilt, "; ".join(spoilt) or "keep every promise", "take them out of the table [kafka]")
