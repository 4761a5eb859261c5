"""The report of a day that went through a real worker and sink: its figures are those of the API, and the command writes the same file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from schemas.times import DAY_MS, MINUTE_MS, to_rfc3339
from tests.asgi import Client
from tests.integration.test_warroom_process import environment
from tests.integration.test_warroom_promotions import definition
from tests.integration.warroom_world import LADDER, Day
from tests.unit.warroom.report.test_page import Seen
from tests.workers import ROOT
from warroom import wording
from warroom.web.app import make_app

API = "/api/v1/promotions"
HOME = {"sec-fetch-site": "same-origin"}


async def test_the_report_tells_what_the_api_tells(day: Day, tmp_path: Path) -> None:
    app = make_app(day.room(), LADDER)
    client = Client(app)
    middle = min(order.occurred_at for order in day.orders) + 6 * 3_600_000
    middle -= middle % MINUTE_MS
    window = {"from": to_rfc3339(middle), "to": to_rfc3339(middle + DAY_MS)}
    before = {"from": to_rfc3339(middle - DAY_MS), "to": to_rfc3339(middle)}
    for name, when in (("reported", window), ("the day before", before)):
        made = {"definition": {**definition(name), "window": when, "name": f"<i>{name}</i>"}, "because": "agreed <b>"}
        assert (await client.ask("POST", API, made, HOME)).status == 201
    change = {"edits": ["*/headcount=x2"], "because": "more came", "effective_from": to_rfc3339(middle + 10 * MINUTE_MS)}
    assert (await client.ask("PATCH", f"{API}/reported", change, HOME | {"if-match": '"1"'})).status == 200

    stands = (await client.get(f"{API}/reported/progress")).json()
    page = await client.get(f"{API}/reported/report?lang=en")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    seen = Seen(page.body.decode())
    for told in (
        wording.money(stands["gmv"]["actual"], "CNY", "en"),
        wording.count(stands["orders"]["actual"], "en"),
        stands["sentence"]["en"],
        "more came",
        "agreed <b>",
        "<i>reported</i>",
        "<i>the day before</i>",
        "Data quality",
    ):
        assert told in seen.text, told
    assert not seen.tags & {"i", "b", "script", "img", "link"}
    early = {"definition": {**definition("ahead"), "window": {"from": "2031-11-11", "to": "2031-11-12"}}, "because": "x"}
    assert (await client.ask("POST", API, early, HOME)).status == 201
    refused = await client.get(f"{API}/ahead/report")
    assert (refused.status, "expected a promotion that has begun" in refused.detail) == (400, True)
    await app.state.room.close()

    file = tmp_path / "report.html"
    command = [sys.executable, "-m", "deploy", "report", "reported", "--lang", "en", "--output", str(file)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environment(day), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    written = Seen(file.read_text(encoding="utf-8")).text
    assert written.partition("Key figures")[2] == seen.text.partition("Key figures")[2]
