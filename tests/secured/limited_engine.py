"""The embedded ClickHouse with one user, who has the rights that `users.xml` in its data folder gives and no others.

    python -m tests.secured.limited_engine --data DIR --port P

The engine knows no further users; but what a process may do with its rights, and what not, it decides as a server does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.stack import clickhouse, clickhouse_engine
from deploy.stack.ports import free_port
from deploy.stack.servers import clickhouse_server
from tests.servers import Server, Servers
from tests.workers import ROOT

_USERS = """\
<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><networks><ip>::/0</ip></networks>
<profile>default</profile><quota>default</quota><grants>{grants}</grants></default></users></clickhouse>
"""
_OWN = ("GRANT SHOW DATABASES ON *.*", "GRANT KILL QUERY ON *.*")
"""What the endpoint does itself, whoever asks."""

_plain = clickhouse_engine._configuration


def _with_users(limits: clickhouse_engine.Limits) -> str:
    return _plain(limits).replace("</clickhouse>", "<users_config>users.xml</users_config></clickhouse>")


def limited(servers: Servers, folder: Path, grants: Iterable[str]) -> Server:
    """Such an engine over the data in `folder`. `grants` are statements without their `TO`."""
    folder.mkdir(parents=True, exist_ok=True)
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in (*_OWN, *grants))
    (folder / "users.xml").write_text(_USERS.format(grants=queries))
    port = free_port()
    spec = clickhouse_server(folder, port)
    command = (sys.executable, "-m", "tests.secured.limited_engine", "--data", str(folder), "--port", str(port))
    return servers.started(folder.parent, replace(spec, argv=command, folder=ROOT, ready_timeout=200.0), f"http://127.0.0.1:{port}")


if __name__ == "__main__":
    clickhouse_engine._configuration = _with_users
    clickhouse.main(sys.argv[1:])
