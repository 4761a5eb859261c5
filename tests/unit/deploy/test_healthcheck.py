"""What container engines ask, against the real health server."""

from __future__ import annotations

import pytest

from deploy.health import HealthServer, Report
from deploy.healthcheck import main
from deploy.stack.ports import free_port


@pytest.mark.parametrize(("healthy", "ready", "statuses"), [(True, True, (0, 0)), (True, False, (0, 1)), (False, False, (1, 1))])
def test_it_says_what_the_process_says(
    healthy: bool, ready: bool, statuses: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with HealthServer("127.0.0.1", 0, lambda: Report(healthy, ready, {"why": "because"})) as server:
        monkeypatch.setenv("RFLOW_HTTP_PORT", str(server.port))
        assert (main([]), main(["/readyz"])) == statuses
    assert ("because" in capsys.readouterr().out) == (statuses != (0, 0))


def test_nobody_there_is_not_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RFLOW_HTTP_PORT", str(free_port()))
    assert main([]) == 1
    assert "does not answer" in capsys.readouterr().out
