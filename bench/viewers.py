"""Many viewers on one war room: how old an update is when it arrives, and whether ClickHouse is asked more often for it.

    python -m bench.viewers --url http://127.0.0.1:8600 --metrics http://127.0.0.1:PORT/metrics --brand acme --viewers 1 20 200

Against a running `rflow up` (its war room's metrics are at the port its log names; RFLOW_WARROOM_RATE at 1000, since all viewers share a
principal) while touchpoints flow. Each viewer does what a wall does: follows the live stream, and asks again and again for what
`warroom/screen/js/desk.js` and `views/wall.js` ask for, with the ETag it has. The promotion is the brand's newest. The exit status is 0
only if p95 of the updates and of the answers is below 2 s, every answer is 200 or 304, and the queries a second of the most viewers are
no more than those of the fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import ssl
import sys
import time
import urllib.request
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import httpx
import orjson

from schemas.times import from_rfc3339, to_rfc3339

BOUND_S = 2.0
_QUERIES = "rflow_warroom_queries_total{"
_MINUTE_MS = 60_000
_NO_ANSWER = 0


class Viewer:
    """One wall. `ages` are the seconds from the moment ClickHouse was asked to the arrival of each snapshot, `waits` those of its polls."""

    def __init__(self, client: httpx.AsyncClient, brand: str, promotion: dict[str, Any] | None) -> None:
        self._client = client
        self._brand = f"/api/v1/brands/{quote(brand)}"
        self._promotion = promotion
        self._watermark = 0
        self.ages: list[float] = []
        self.waits: list[float] = []
        self.answers: Counter[int] = Counter()
        self.bytes = 0

    async def look(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            for path, seconds in self._polls():
                tasks.create_task(self._poll(path, seconds))

    async def _watch(self) -> None:
        """By hand: a client library would take more time for a long line than the server does."""
        address = urlsplit(str(self._client.base_url))
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 22)
        headers = {"Host": address.netloc, "Authorization": self._client.headers.get("Authorization", "")}
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        writer.write(f"GET {self._brand}/live HTTP/1.1\r\n{said}\r\n".encode())
        try:
            status = await reader.readline()
            assert b" 200 " in status, status
            while line := await reader.readline():
                self.bytes += len(line)
                if line.startswith(b"data: ") and b'"as_of"' in line:
                    told = orjson.loads(line[6:])["as_of"]
                    self._watermark = told["watermark"]
                    self.ages.append(time.time() - told["computed_at"] / 1000)
        finally:
            writer.close()

    def _polls(self) -> list[tuple[str, float]]:
        """What a wall asks for, and how often, seconds; without a promotion its day's flows, timeline and alerts alone."""
        if self._promotion is None:
            return [("flows", 20), ("timeline", 10), ("open-alerts", 3)]
        of, window = f"/api/v1/promotions/{quote(self._promotion['promotion_id'])}", self._promotion["window"]
        minutes = (from_rfc3339(window["to"]) - from_rfc3339(window["from"])) // _MINUTE_MS
        return [
            (f"{of}/progress", 2),
            (f"{of}/pacing?step={min(1440, max(1, -(-minutes // 300)))}", 10),
            (f"{of}/beside?step=1", 30),
            (f"{of}/versions", 30),
            ("timeline", 10),
            ("open-alerts", 3),
            ("flows", 20),
        ]

    def _address(self, path: str) -> str:
        """Windows end where the stream says that time stands."""
        if path.startswith("/"):
            return path
        if path == "open-alerts":
            return f"{self._brand}/{path}"
        until = self._watermark - self._watermark % _MINUTE_MS + _MINUTE_MS
        window = {"from": to_rfc3339(until - 86_400_000), "to": to_rfc3339(until)}
        if self._promotion is not None:
            bounds = self._promotion["window"]
            window = {
                "from": bounds["from"],
                "to": bounds["to"] if path == "timeline" else to_rfc3339(min(from_rfc3339(bounds["to"]), until)),
            }
        return f"{self._brand}/{path}?{urlencode(window)}"

    async def _poll(self, path: str, seconds: float) -> None:
        tag, asked = "", ""
        await asyncio.sleep(random.uniform(0, seconds))
        while True:
            if self._watermark:
                address = self._address(path)
                tag = tag if address == asked else ""
                asked, began = address, time.monotonic()
                try:
                    answer = await self._client.get(address, headers={"If-None-Match": tag} if tag else {})
                    status, tag = answer.status_code, answer.headers.get("ETag", "")
                except httpx.TransportError:
                    status = _NO_ANSWER  # as a page does, go on
                self.waits.append(time.monotonic() - began)
                self.answers[status] += 1
            await asyncio.sleep(seconds)


class Found(NamedTuple):
    """Of so many viewers: ages of their updates, waits for their polls, answers by status, queries a second by kind, bytes to one."""

    viewers: int
    ages: list[float]
    waits: list[float]
    answers: Counter[int]
    queries: dict[str, float]
    bytes: int


async def measure(options: argparse.Namespace, viewers: int) -> Found:
    """What so many viewers see within the seconds asked for."""
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    async with AsyncExitStack() as stack:
        # each viewer has connections of its own, as a browser has
        trust = ssl.create_default_context()
        made = [httpx.AsyncClient(base_url=options.url, headers=headers, timeout=30, verify=trust) for _ in range(viewers)]
        clients = [await stack.enter_async_context(client) for client in made]
        promotions = (await clients[0].get("/api/v1/promotions", params={"brand": options.brand})).raise_for_status().json()["items"]
        newest = max(promotions, key=lambda one: one["window"]["from"], default=None)
        crowd = [Viewer(client, options.brand, newest) for client in clients]
        tasks = [asyncio.create_task(viewer.look()) for viewer in crowd]
        await asyncio.sleep(options.warm_up)
        for viewer in crowd:
            viewer.ages.clear()
            viewer.waits.clear()
            viewer.answers.clear()
        before, began = await asyncio.to_thread(queries, options.metrics), time.monotonic()
        await asyncio.sleep(options.seconds)
        after, took = await asyncio.to_thread(queries, options.metrics), time.monotonic() - began
        for task in tasks:
            if task.done():
                task.result()
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
    silent = sum(1 for viewer in crowd if not viewer.ages)
    if silent:
        raise AssertionError(f"{silent} of {viewers} viewers were told nothing")
    return Found(
        viewers,
        sorted(age for viewer in crowd for age in viewer.ages),
        sorted(wait for viewer in crowd for wait in viewer.waits),
        sum((viewer.answers for viewer in crowd), Counter()),
        {kind: (after[kind] - before.get(kind, 0)) / took for kind in after},
        crowd[0].bytes,
    )


def queries(metrics: str) -> dict[str, float]:
    """How often the war room has asked ClickHouse, by what for."""
    with urllib.request.urlopen(metrics, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {line.partition('"')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(_QUERIES)}


def told(found: Found) -> str:
    """One line."""

    def at(values: list[float], part: float) -> str:
        return f"{values[int(len(values) * part)]:.3f} s" if values else "–"

    asked = ", ".join(f"{kind} {rate:.1f}" for kind, rate in sorted(found.queries.items()))
    ages, waits = (f"p50 {at(values, 0.5)}, p95 {at(values, 0.95)}" for values in (found.ages, found.waits))
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(found.answers.items()))
    return (
        f"{found.viewers} viewers: {len(found.ages)} updates, {ages}; {len(found.waits)} polls ({answers}), {waits};"
        f" queries a second: {asked}; {found.bytes:,} bytes to a viewer"
    )


def holds(found: list[Found]) -> bool:
    """Whether the bounds are kept; of two numbers of viewers or more the queries do not grow from the last but one to the last."""
    quick = all(values[int(len(values) * 0.95)] < BOUND_S for one in found for values in (one.ages, one.waits) if values)
    answered = all(set(one.answers) <= {200, 304} for one in found)
    rates = [sum(one.queries.values()) for one in found]
    return quick and answered and (len(rates) < 2 or rates[-1] <= rates[-2] * 1.1 + 0.5)


def main() -> None:
    """Measures with each number of viewers in turn, and prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8600")
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--brand", default="acme")
    parser.add_argument("--token", default="")
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=10)
    options = parser.parse_args()
    found = []
    for viewers in options.viewers:
        found.append(asyncio.run(measure(options, viewers)))
        print(told(found[-1]), flush=True)
    sys.exit(0 if holds(found) else 1)


if __name__ == "__main__":
    main()
