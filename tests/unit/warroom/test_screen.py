"""The screen's pages and files as they are served. What they show is seen in a browser: tests/browser."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.asgi import Client
from tests.unit.warroom.test_permissions import LADDER, NOWHERE
from warroom.web.app import make_app
from warroom.web.headers import HEADERS
from warroom.web.room import RoomConfig
from warroom.web.screen import PAGES, Screen

SCREEN = Path(__file__).parents[3] / "warroom" / "screen"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = make_app(RoomConfig(live=NOWHERE), LADDER)
    yield Client(app)
    await app.state.room.close()


async def test_every_page_is_the_shell_and_is_asked_for_anew(client: Client) -> None:
    for path in PAGES:
        page = await client.get(path)
        assert (page.status, page.headers["content-type"], page.headers["cache-control"]) == (200, "text/html; charset=utf-8", "no-cache")
        assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert b"{static}" not in page.body
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


async def test_every_file_that_the_shell_names_is_there_for_ever(client: Client) -> None:
    shell = (await client.get("/")).body.decode()
    named = re.findall(r'(?:href|src)="([^"]+)"', shell)
    assert len(named) >= 5
    for path in named:
        found = await client.get(path)
        assert (found.status, found.headers["cache-control"]) == (200, "public, max-age=31536000, immutable"), path
        other = path.split("/")
        other[2] = "0" * 16
        assert (await client.get("/".join(other))).status == 404
    assert (await client.get("/favicon.ico")).status == 307


async def test_every_import_of_a_module_leads_to_a_file() -> None:
    files = Screen().files
    for name, found in files.items():
        if name.startswith("js/"):
            for target in re.findall(r'(?:from|import\()\s*"(\.[^"]+)"', found.body.decode()):
                led = (SCREEN / name).parent.joinpath(target).resolve().relative_to(SCREEN).as_posix()
                assert led in files, f"{name} imports {target}"


async def test_what_shrinks_is_compressed_for_who_takes_it(client: Client) -> None:
    path = f"{Screen().base}/echarts/index.js"
    small = await client.get(path, **{"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    library = f"{Screen().base}/vue.js"
    plain, packed = await client.get(library), await client.get(library, **{"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2


@pytest.mark.parametrize("path", ["/static/x/../../etc/passwd", "/static//js/main.js", "/nothing"])
async def test_what_is_not_there_is_a_problem(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404
