"""Settings: environment `RFLOW_*` over one TOML file, read once, checked whole, handed down as values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from deploy.security import clickhouse, kafka, redis
from deploy.security.kafka import login_options
from deploy.security.secret import SecretUnreadable, secret_file

CONFIG_VARIABLE = "RFLOW_CONFIG"
SECRETS = ("kafka_password", "redis_password", "clickhouse_password", "warroom_oidc_client_secret")
"""Settings that are secrets and can be given as a file, by the setting with `_file` at its end."""
_KAFKA_PATIENCE: dict[str, str | int | bool] = {
    # When all connections die without a word, that of the publisher may show only when the reader, through another, has found records to
    # publish: both times, and the second that librdkafka may take to look, fit into a session. Its own default is a minute.
    "socket.timeout.ms": 3_000,
    "socket.connection.setup.timeout.ms": 3_000,
    "socket.keepalive.enable": True,
    # After a long absence of Kafka; librdkafka's own default is ten seconds.
    "reconnect.backoff.max.ms": 2_000,
}
_SECRET_OPTIONS = ("password", "key.pem", "secret", "token", "jaas")


class SettingsError(Exception):
    """Settings that cannot be used; a line for each mistake, none with a secret."""


class _Environment(EnvSettingsSource):
    """The environment; a table that is no JSON goes on as it is, to be told with all other mistakes."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """Everything that can be set. In the environment `RFLOW_` and the name in capitals; tables as JSON."""

    model_config = SettingsConfigDict(env_prefix="RFLOW_", extra="forbid", hide_input_in_errors=True)

    partitions: int = Field(4, ge=1, le=4096, description="partitions of every topic and so the number of shards; fixed at `rflow init`")
    replication: int = Field(1, ge=1, le=9, description="replication factor with which `rflow init` creates topics")
    ladder: str = Field("5r", description="a shipped ladder (5r, aipl) or the path of a ladder file")
    clock: Literal["wall", "event"] = Field("wall", description="what moves the watermark when no event does")
    intake: Literal["live", "strict"] = Field("live", description="strict: wait until every log shows that it has reached a time")
    future_check: bool = Field(True, description="refuse touchpoints more than 5 minutes ahead of the wall clock")
    on_ladder_change: Literal["stop", "recompute"] = Field(
        "stop",
        description="what to do where users stand on a newer version of the ladder or on another one; a newer version always recomputes",
    )
    on_gap: Literal["stop", "continue"] = Field("stop", description="what to do where a log no longer reaches back to the applied offset")
    on_rewind: Literal["stop", "continue"] = Field(
        "stop", description="what to do where more has been published than Redis knows, as after the restoring of an older snapshot"
    )

    kafka_bootstrap: str = Field("127.0.0.1:9092", min_length=1, description="host:port, comma separated")
    kafka: dict[str, str | int | bool] = Field(default_factory=dict, description="further librdkafka options, such as security.protocol")
    kafka_user: str = Field("", description="the SASL user; with OAUTHBEARER the client's id")
    kafka_password: SecretStr = Field(SecretStr(""), description="its password; with OAUTHBEARER the client's secret")
    kafka_password_file: str = Field("", description="the file with the password, read again whenever one is needed")
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,80}$", description="before every topic's name")
    group: str = Field("rflow", min_length=1, description="consumer group of the workers")
    session_timeout: float = Field(10.0, ge=1, le=300, description="seconds after which a silent worker's shards go to the others")
    topic_ids: bool = Field(True, description="whether the broker tells topics' ids")

    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="redis://, rediss:// or unix://")
    redis_user: str = Field("", description="the ACL user; empty: the default user")
    redis_password: SecretStr = Field(SecretStr(""), description="its password")
    redis_password_file: str = Field("", description="the file with the password, read again whenever one is needed")
    redis_cluster: bool = Field(False, description="the URL is a node of a Redis Cluster")
    redis: dict[str, str | int | bool] = Field(default_factory=dict, description="further redis-py options, such as ssl_ca_certs")
    redis_prefix: str = Field("rflow", pattern=r"^[A-Za-z0-9._-]{1,80}$", description="before every key")
    redis_replicas: int = Field(0, ge=0, le=9, description="replicas of Redis that must have a step before it is published")
    redis_replica_timeout: float = Field(
        1.0, ge=0.01, le=5, description="seconds after which replicas without the step are told and asked again"
    )

    clickhouse_url: SecretStr = Field(SecretStr("http://127.0.0.1:8123"), description="http:// or https://, with user and password if any")
    clickhouse: dict[str, str | int | bool] = Field(
        default_factory=dict, description="clickhouse-connect's options for TLS: ca_cert, client_cert, client_cert_key and the like"
    )
    clickhouse_user: str = Field("", description="the user; empty: that of the URL, or the default user")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="its password")
    clickhouse_password_file: str = Field("", description="the file with the password, read again whenever one is needed")
    clickhouse_database: str = Field("rflow", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")

    sink_linger: float = Field(1.0, gt=0, le=60, description="seconds after which the sink stores what it has")

    warroom_host: str = Field("127.0.0.1", min_length=1, description="where the war room is served; beyond loopback it needs accounts")
    warroom_port: int = Field(8600, ge=0, le=65535, description="0: any free port")
    warroom_accounts: str = Field("", description="the file of users and tokens; empty: none, everybody on this machine is an admin")
    warroom_audit: str = Field("", description="the audit log; empty: beside the accounts, or in the log alone without them")
    warroom_proxies: str = Field("", description="addresses of proxies whose X-Forwarded-For is believed, comma separated")
    warroom_rate: float = Field(20.0, gt=0, le=100_000, description="requests a second of one user or token, ten times as many at once")
    warroom_streams: int = Field(1000, ge=1, le=100_000, description="event streams that may be open at a time")

    warroom_oidc_issuer: str = Field("", description="an OpenID provider's issuer, https; empty: no sign-in by one")
    warroom_oidc_client_id: str = Field("", description="who the war room is to the provider")
    warroom_oidc_client_secret: SecretStr = Field(SecretStr(""), description="its secret there")
    warroom_oidc_client_secret_file: str = Field("", description="the file with the secret, read when the war room starts")
    warroom_oidc_roles: dict[str, Literal["viewer", "operator", "admin"]] = Field(
        default_factory=dict, description="which value of the role claim makes which role; whoever has none does not get in"
    )
    warroom_oidc_role_claim: str = Field("roles", min_length=1, description="the claim with roles or groups, such as realm_access.roles")
    warroom_oidc_brands_claim: str = Field("", description="the claim with the brands one may see; empty: all")
    warroom_oidc_name_claim: str = Field(
        "preferred_username", min_length=1, description="the claim with the name that changes are signed by"
    )
    warroom_oidc_scopes: str = Field("openid profile email", pattern=r"\bopenid\b", description="what is asked of the provider")
    warroom_oidc_redirect: str = Field(
        "", description="the callback as the provider knows it, https://HOST/api/v1/session/oidc/callback; empty: as the browser asked"
    )
    warroom_oidc_label: str = Field("", max_length=80, description="what the button says")

    alert_rules: str = Field("", description="the file of alert rules; empty: the defaults")
    alert_channels: str = Field("", description="the file of channels that alerts go to; it holds their keys; empty: the topic alone")
    alert_link: str = Field(
        "", description="the war room's address as people reach it, such as https://room.example; messages lead to its alerts"
    )

    otlp_endpoint: str = Field(
        "", pattern=r"^(https?://[^/].*)?$", description="where the workers' traces go, by OTLP over HTTP (http://HOST:4318); empty: none"
    )
    trace_ratio: float = Field(0.01, ge=0, le=1, description="the share of steps that are traced; a touchpoint goes by its traceparent")

    collect_host: str = Field("127.0.0.1", min_length=1, description="where `rflow collect` takes touchpoints; TLS is a proxy's before it")
    collect_port: int = Field(8610, ge=0, le=65535, description="0: any free port")
    collect_sources: str = Field("", description="the file of who may send what")
    collect_origins: str = Field("", description="origins whose pages may post, such as https://shop.example, comma separated; empty: none")
    collect_timeout: float = Field(10.0, ge=1, le=120, description="seconds within which Kafka must have acknowledged a record")
    collect_body_bytes: int = Field(1_048_576, ge=65_536, le=16_777_216, description="the largest body of a request")
    collect_in_flight_records: int = Field(20_000, ge=100, le=1_000_000, description="records on their way to Kafka at a time, then 429")
    collect_in_flight_bytes: int = Field(67_108_864, ge=1_048_576, description="bytes of bodies held at a time, then 429")

    pseudonym_key_file: str = Field(
        "",
        description="a file with a key: `rflow collect`, `replay` and `simulate --produce` replace user ids by its keyed hash; empty: not",
    )

    http_host: str = Field("127.0.0.1", description="where /metrics, /healthz and /readyz are served")
    http_port: int = Field(0, ge=0, le=65535, description="0: any free port")
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    crash_point: str = Field("", description="tests only: POINT or POINT:N, where the process ends itself; POINT:N:freeze stops it")

    @field_validator("redis_url", "clickhouse_url")
    @classmethod
    def _is_url(cls, value: SecretStr, info: Any) -> SecretStr:
        schemes = ("redis://", "rediss://", "unix://") if info.field_name == "redis_url" else ("http://", "https://")
        if not value.get_secret_value().startswith(schemes):
            raise ValueError(f"expected a URL that begins with {' or '.join(schemes)}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given by hand goes before the environment, that before the file."""
        file = os.environ.get(CONFIG_VARIABLE)
        return (init_settings, _Environment(settings_cls), *((TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()))

    def kafka_client(self) -> dict[str, Any]:
        """The configuration of every Kafka client (`schemas.kafka_client`). Raises SecretUnreadable."""
        return {"bootstrap.servers": self.kafka_bootstrap, "client.id": "rflow", **_KAFKA_PATIENCE, **self.kafka_options()}

    def kafka_options(self) -> dict[str, Any]:
        """What is given for Kafka, with the login. Raises SecretUnreadable."""
        return {**self.kafka, **login_options(self.kafka, self.kafka_user, self.secret("kafka_password"))}

    def secret(self, name: str) -> Callable[[], str] | None:
        """Tells the secret of that name whenever asked; None where there is none. Raises SecretUnreadable."""
        if path := str(getattr(self, f"{name}_file")):
            return secret_file(path)
        given: SecretStr = getattr(self, name)
        return given.get_secret_value if given.get_secret_value() else None

    def shown(self) -> dict[str, Any]:
        """All settings as they may be printed: secrets masked."""
        values = self.model_dump(mode="json")
        for table in ("kafka", "redis"):
            values[table] = {
                name: "**********" if any(word in name for word in _SECRET_OPTIONS) else value for name, value in values[table].items()
            }
        return values


def load_settings(**given: Any) -> Settings:
    """The settings of this process; `given` overrides (None: not given). Raises SettingsError with all mistakes at once."""
    file = os.environ.get(CONFIG_VARIABLE)
    if file and not Path(file).is_file():
        raise SettingsError(f"{CONFIG_VARIABLE}: expected the path of a TOML file, found {file!r}, which is none")
    unknown = [name for name in _variables(os.environ) if name.removeprefix("RFLOW_").lower() not in Settings.model_fields]
    mistakes = [f"{name}: expected one of rflow's settings (rflow doctor --settings lists them)" for name in unknown]
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        mistakes += [f"{_name(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False, include_input=False)]
    except ValueError as error:
        mistakes.append(f"{file or 'environment'}: {error}")
    else:
        mistakes += _login_mistakes(settings)
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _login_mistakes(settings: Settings) -> list[str]:
    """What is wrong with secrets, and with how Kafka, Redis and ClickHouse are logged in to."""
    found, has = [], dict[str, bool]()
    for name in SECRETS:
        try:
            has[name] = settings.secret(name) is not None
        except SecretUnreadable as error:
            found.append(f"{name}_file: {error}")
        if getattr(settings, name).get_secret_value() and getattr(settings, f"{name}_file"):
            found.append(f"{name}_file: expected the secret in one place, found {name} too")
    if found:
        return found
    return [
        *kafka.mistakes(settings.kafka_options()),
        *redis.mistakes(settings.redis_url.get_secret_value(), settings.redis, has_password=has["redis_password"]),
        *clickhouse.mistakes(settings.clickhouse_url.get_secret_value(), settings.clickhouse, has_password=has["clickhouse_password"]),
    ]


def _variables(environment: Mapping[str, str]) -> list[str]:
    return sorted(name for name in environment if name.startswith("RFLOW_") and name != CONFIG_VARIABLE)


def _name(place: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in place)
