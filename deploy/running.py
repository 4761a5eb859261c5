"""rflow's own processes on a one-machine stack."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

from deploy.settings import Settings, load_settings
from deploy.stack.endpoints import Endpoints, running_stack
from deploy.stack.errors import StackError
from deploy.stack.ports import free_port
from deploy.stack.process import ProcessSpec, python_module
from deploy.stack.ready import http_answers
from deploy.stack.servers import StackConfig
from deploy.stack.supervisor import Stack
from deploy.topics import create_topics
from schemas.topics import load_topics

Broker = Literal["mock", "kafka"]


def stack_config(data: Path, settings: Settings, broker: Broker, workers: int, **given: Any) -> StackConfig:
    """The servers for `workers` workers with these settings."""
    return StackConfig(
        data=data,
        broker=broker,
        partitions=settings.partitions,
        topics=tuple(settings.topic_prefix + name for name in load_topics()),
        groups=(settings.group, f"{settings.group}-sink"),
        group_delay=1.0 if workers > 1 else 0.0,
        **given,
    )


def settings_on(endpoints: Endpoints, base: Settings, **given: Any) -> Settings:
    """`base` with the addresses of a stack."""
    addresses: dict[str, Any] = {
        "partitions": endpoints.partitions,
        "kafka_bootstrap": endpoints.brokers,
        "redis_url": endpoints.redis_url,
        "clickhouse_url": endpoints.clickhouse_url,
        "topic_ids": base.topic_ids and endpoints.broker != "mock",
    }
    if endpoints.event_clock:
        addresses["clock"] = "event"
    return load_settings(**{**base.model_dump(exclude_unset=True), **addresses, **given})


def settings_of_data(data: str, base: Settings) -> Settings:
    """`base` with the addresses of the stack that runs on the folder. Raises StackError if none does."""
    endpoints = running_stack(Path(data).expanduser().resolve())
    if endpoints is None:
        raise StackError(f"no stack runs on {data}: start one with `rflow up --data {data}`")
    return settings_on(endpoints, base)


async def start_processes(stack: Stack, settings: Settings, workers: int, *, warroom: bool = False, alerts: bool = False) -> None:
    """Creates the topics where the broker does not have them from the start, then starts sink, workers and, if asked for, the war room."""
    if stack.endpoints is not None and stack.endpoints.broker != "mock":
        await asyncio.to_thread(create_topics, settings.kafka_client(), settings.topic_prefix, settings.partitions, settings.replication)
    specs = [_spec("sink", 1, settings), *(_spec("worker", n + 1, settings) for n in range(workers))]
    if warroom:
        specs.append(_spec("warroom", 1, settings))
    if alerts:
        specs.append(_spec("alerts", 1, settings))
    await stack.start(*specs)


def _spec(role: Literal["worker", "sink", "warroom", "alerts"], number: int, settings: Settings) -> ProcessSpec:
    port = free_port()
    return ProcessSpec(
        role=role,
        number=number,
        argv=python_module("deploy", role),
        env={**_environment(settings), "RFLOW_HTTP_PORT": str(port)},
        ready=http_answers(f"http://127.0.0.1:{port}/readyz"),
        ready_timeout=60.0,
    )


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as the environment of a child: secrets go that way and not on a command line."""
    import orjson

    found = {}
    for name, value in settings.model_dump(exclude_unset=True).items():
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        found[f"RFLOW_{name.upper()}"] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return found
