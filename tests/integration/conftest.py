"""Worlds that several files of tests look at and none changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.warroom_world import Day, simulated_day


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory, mock_broker: str, redis_url: str, clickhouse_url: str) -> Iterator[Day]:
    """A simulated day that went through a worker and a sink, for the war room to show."""
    with simulated_day(tmp_path_factory.mktemp("warroom"), mock_broker, redis_url, clickhouse_url) as made:
        yield made
