"""From settings to parts: the one place where they are put together."""

from __future__ import annotations

import ipaddress
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.security.redis import login_options
from deploy.settings import Settings, SettingsError
from schemas.ladder import Ladder
from schemas.ladder_file import load_ladder
from schemas.signature import SecretError, read_secret
from schemas.validate import Validator
from sinks.config import ClickHouse, OnGap, SinkConfig
from sinks.subscription.run import Source
from sources.collector.collector import Bounds
from sources.pseudonym import Pseudonyms
from streams.app import GroupConfig
from streams.crash import arm
from streams.link import Cluster, Connections, SingleNode
from streams.stage import StepConfig
from streams.worker import WorkerConfig
from warroom.alerts.watch import WatchConfig
from warroom.auth.oidc import OidcConfig, is_safe
from warroom.auth.roles import Role
from warroom.event_clock import EventClock
from warroom.layer_snapshot import SnapshotConfig
from warroom.live.live import LiveConfig
from warroom.promotions.book import connected
from warroom.promotions.desk import Desk
from warroom.promotions.topic import PromotionTopic
from warroom.states import RedisConfig, States
from warroom.web.room import RoomConfig


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def ladder_of(settings: Settings) -> Ladder:
    """The deployment's ladder. Raises LadderError."""
    return load_ladder(settings.ladder)


def validator_of(settings: Settings) -> Validator:
    """The judge of touchpoints."""
    return Validator(ladder_of(settings), wall_clock, check_future=settings.future_check)


def connections_of(settings: Settings) -> Connections:
    """Connections to Redis or a Redis Cluster."""
    make = Cluster if settings.redis_cluster else SingleNode
    return make(settings.redis_url.get_secret_value(), **_redis_options(settings))


def _redis_options(settings: Settings) -> dict[str, Any]:
    return {**settings.redis, **login_options(settings.redis_user, settings.secret("redis_password"))}


def worker_config(settings: Settings, name: str) -> WorkerConfig:
    """What the worker `name` needs to know. Raises LadderError."""
    return WorkerConfig(
        kafka=settings.kafka_client(),
        group=GroupConfig(
            group=settings.group,
            bootstrap=settings.kafka_bootstrap,
            session_timeout=settings.session_timeout,
            # A worker hears only with its next heartbeat that shards are to be shared anew; until then all of them stand still.
            heartbeat=min(0.5, settings.session_timeout / 3),
            # Nor do they stand still any longer for one who does not answer than for one who has died.
            rebalance_timeout=settings.session_timeout,
        ),
        topic_prefix=settings.topic_prefix,
        key_prefix=settings.redis_prefix,
        worker=name,
        ladder=ladder_of(settings),
        step=StepConfig(
            partitions=settings.partitions,
            strict=settings.intake == "strict",
            event_clock=settings.clock == "event" or settings.intake == "strict",
            continue_on_gap=settings.on_gap == "continue",
            any_ladder=settings.on_ladder_change == "recompute",
            continue_on_rewind=settings.on_rewind == "continue",
            replicas=settings.redis_replicas,
            replica_timeout=settings.redis_replica_timeout,
            topic_ids=settings.topic_ids,
        ),
        check_future=settings.future_check,
        look_s=min(30.0, 3 * settings.session_timeout),
    )


def clickhouse_of(settings: Settings) -> ClickHouse:
    """Where the figures are."""
    return ClickHouse(
        url=settings.clickhouse_url.get_secret_value(),
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.secret("clickhouse_password"),
        options=tuple((name, str(value)) for name, value in settings.clickhouse.items()),
    )


def redis_of(settings: Settings) -> RedisConfig:
    """Where the states are, for those who only read."""
    return RedisConfig(
        url=settings.redis_url.get_secret_value(),
        prefix=settings.redis_prefix,
        cluster=settings.redis_cluster,
        options=_redis_options(settings),
    )


def snapshot_config(settings: Settings) -> SnapshotConfig:
    """What it takes to write a snapshot of all users' layers. Raises LadderError."""
    return SnapshotConfig(
        redis=redis_of(settings),
        kafka=settings.kafka_client(),
        topic_prefix=settings.topic_prefix,
        partitions=settings.partitions,
        ladder=ladder_of(settings),
    )


def subscription_source(settings: Settings) -> Source:
    """Where a subscription reads transitions."""
    return Source(
        kafka={**settings.kafka_client(), "log_level": 2},
        topic=f"{settings.topic_prefix}transitions",
        accept_gap=settings.on_gap == "continue",
    )


@contextmanager
def desk_of(settings: Settings) -> Iterator[Desk]:
    """The promotions' desk of this process."""
    topic = PromotionTopic(settings.kafka_client(), settings.topic_prefix, settings.partitions)
    with (
        connected(redis_of(settings)) as book,
        closing(EventClock(States(redis_of(settings)), settings.partitions, wall_clock)) as events,
        closing(Desk(book, topic, ladder_of(settings), wall_clock, events if settings.clock == "event" else None)) as desk,
    ):
        yield desk


def pseudonyms_of(settings: Settings) -> Pseudonyms | None:
    """What replaces user ids, if anything does. Raises SettingsError for a key that cannot be used."""
    if not settings.pseudonym_key_file:
        return None
    try:
        return Pseudonyms(read_secret(Path(settings.pseudonym_key_file).expanduser()))
    except SecretError as error:
        raise SettingsError(f"pseudonym_key_file: {error}") from None


def pseudonymised(lines: Iterator[bytes], settings: Settings, left_out: Counter[str]) -> Iterator[bytes]:
    """Lines with pseudonyms where there is a key. Raises SettingsError."""
    made = pseudonyms_of(settings)
    return lines if made is None else made.lines(lines, left_out)


def collector_bounds(settings: Settings) -> Bounds:
    """What the collector may hold."""
    return Bounds(
        body=settings.collect_body_bytes,
        in_flight_bytes=max(settings.collect_in_flight_bytes, settings.collect_body_bytes),
        in_flight_records=settings.collect_in_flight_records,
    )


def collector_sources(settings: Settings) -> Path:
    """The file of who may send what. Raises SettingsError where none is named."""
    if not settings.collect_sources:
        raise SettingsError("collect_sources: expected the file of who may send what (`rflow collect token NAME` prints how it begins)")
    return Path(settings.collect_sources).expanduser().resolve()


def sink_config(settings: Settings) -> SinkConfig:
    """What the sink needs to know."""
    return SinkConfig(
        kafka=settings.kafka_client(),
        # A request that is not answered is repeated, having looked what came of it; a dead connection is not waited for any longer.
        clickhouse=replace(clickhouse_of(settings), timeout=8),
        partitions=settings.partitions,
        topic_prefix=settings.topic_prefix,
        group=f"{settings.group}-sink",
        on_gap=OnGap(settings.on_gap),
        linger=settings.sink_linger,
    )


def room_config(settings: Settings) -> RoomConfig:
    """What the war room needs to know. Raises SettingsError for an address that is open to others without accounts."""
    loopback, oidc = is_loopback(settings.warroom_host), oidc_of(settings)
    if not loopback and not settings.warroom_accounts and oidc is None:
        raise SettingsError(
            f"warroom_host: {settings.warroom_host} can be reached from elsewhere, and without accounts everybody would be an admin: set"
            " warroom_accounts to a file made by `rflow warroom user add`, or warroom_oidc_issuer, or bind to 127.0.0.1"
        )
    accounts = Path(settings.warroom_accounts).expanduser().resolve() if settings.warroom_accounts else None
    beside = None if accounts is None else accounts.with_name(f"{accounts.name}.audit.jsonl")
    return RoomConfig(
        live=LiveConfig(
            clickhouse=replace(clickhouse_of(settings), timeout=6),
            redis=redis_of(settings),
            kafka=settings.kafka_client(),
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
        ),
        accounts=accounts,
        oidc=oidc,
        audit=Path(settings.warroom_audit).expanduser().resolve() if settings.warroom_audit else beside,
        loopback=loopback,
        event_clock=settings.clock == "event",
        rate=settings.warroom_rate,
        burst=10 * settings.warroom_rate,
        streams=settings.warroom_streams,
    )


def oidc_of(settings: Settings) -> OidcConfig | None:
    """The OpenID provider, if there is one. Raises SettingsError for half of one."""
    if not settings.warroom_oidc_issuer:
        return None
    mistakes = []
    if not is_safe(settings.warroom_oidc_issuer):
        mistakes.append(f"warroom_oidc_issuer: expected an https address, found {settings.warroom_oidc_issuer}")
    tell = settings.secret("warroom_oidc_client_secret")
    secret = tell() if tell else ""
    for name, value in (("client_id", settings.warroom_oidc_client_id), ("client_secret", secret), ("roles", settings.warroom_oidc_roles)):
        if not value:
            mistakes.append(f"warroom_oidc_{name}: expected a value, since warroom_oidc_issuer is set")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return OidcConfig(
        issuer=settings.warroom_oidc_issuer,
        client_id=settings.warroom_oidc_client_id,
        client_secret=secret,
        roles={value: Role(role) for value, role in settings.warroom_oidc_roles.items()},
        role_claim=settings.warroom_oidc_role_claim,
        name_claim=settings.warroom_oidc_name_claim,
        brands_claim=settings.warroom_oidc_brands_claim,
        scopes=settings.warroom_oidc_scopes,
        redirect_uri=settings.warroom_oidc_redirect,
        label=settings.warroom_oidc_label,
    )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def arm_crash_point(settings: Settings) -> None:
    """Arms the crash point that a test asked for. Raises ValueError for an unknown one."""
    if settings.crash_point:
        name, _, rest = settings.crash_point.partition(":")
        passing, _, how = rest.partition(":")
        arm(name, int(passing or 1), freeze=how == "freeze")


def process_name(role: str) -> str:
    """A name no other process has: role, machine, process id."""
    return f"{role}-{os.uname().nodename}-{os.getpid()}"


def watch_config(settings: Settings) -> WatchConfig:
    """Where alerts are judged from."""
    return WatchConfig(
        clickhouse=replace(clickhouse_of(settings), timeout=12),
        redis=redis_of(settings),
        kafka=settings.kafka_client(),
        topic_prefix=settings.topic_prefix,
        partitions=settings.partitions,
        rules=Path(settings.alert_rules).expanduser().resolve() if settings.alert_rules else None,
        link=settings.alert_link,
        event_clock=settings.clock == "event" or settings.intake == "strict",
    )
