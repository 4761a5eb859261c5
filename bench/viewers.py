"""Many viewers on one war room: how old an update is when it arrives, and whether ClickHouse is asked more often for it.

    python -m bench.viewers --url http://127.0.0.1:8600 --metrics http://127.0.0.1:PORT/metrics --brand acme --viewers 200

Against a running `rflow up` (its war room's metrics are at the port its log names) while touchpoints flow. The exit status
is 0 only if p95 is below 2 s and the queries a second do not grow with the viewers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import urllib.request
from urllib.parse import quote, urlsplit

import orjson

BOUND_S = 2.0
_QUERIES = 'rflow_warroom_queries_total{kind="live"}'


class Viewer:
    """One open stream. `ages` are the seconds from the moment ClickHouse was asked to the arrival of each snapshot."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.bytes = 0

    async def watch(self, host: str, port: int, path: str, token: str) -> None:
        """Reads until it is cancelled."""
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 22)
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n".encode())
        try:
            status = await reader.readline()
            assert b" 200 " in status, status
            while line := await reader.readline():
                self.bytes += len(line)
                if line.startswith(b"data: ") and b'"as_of"' in line:
                    computed = orjson.loads(line[6:])["as_of"]["computed_at"]
                    self.ages.append(time.time() - computed / 1000)
        finally:
            writer.close()


async def measure(options: argparse.Namespace, viewers: int) -> tuple[list[float], float, int]:
    """Ages of all updates that came within the seconds asked for, queries a second meanwhile, bytes to a viewer."""
    address = urlsplit(options.url)
    path = f"/api/v1/brands/{quote(options.brand)}/live"
    crowd = [Viewer() for _ in range(viewers)]
    tasks = [asyncio.create_task(v.watch(address.hostname or "", address.port or 80, path, options.token)) for v in crowd]
    await asyncio.sleep(options.warm_up)
    for viewer in crowd:
        viewer.ages.clear()
    before, began = await asyncio.to_thread(queries, options.metrics), time.monotonic()
    await asyncio.sleep(options.seconds)
    asked = (await asyncio.to_thread(queries, options.metrics) - before) / (time.monotonic() - began)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    silent = sum(1 for viewer in crowd if not viewer.ages)
    if silent:
        raise AssertionError(f"{silent} of {viewers} viewers were told nothing")
    return sorted(age for viewer in crowd for age in viewer.ages), asked, crowd[0].bytes


def queries(metrics: str) -> float:
    """How many queries the war room has sent for live snapshots."""
    with urllib.request.urlopen(metrics, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(_QUERIES)), 0.0)


def main() -> None:
    """Measures with one viewer, then with all, and prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8600")
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--brand", default="acme")
    parser.add_argument("--token", default="")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=5)
    options = parser.parse_args()
    rates = []
    p95 = 0.0
    for viewers in (1, options.viewers):
        ages, asked, size = asyncio.run(measure(options, viewers))
        rates.append(asked)
        p50, p95 = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
        print(f"{viewers} viewers: {len(ages)} updates, p50 {p50:.3f} s, p95 {p95:.3f} s, most {ages[-1]:.3f} s;", end=" ")
        print(f"{asked:.1f} queries a second; {size:,} bytes to a viewer", flush=True)
    sys.exit(0 if p95 < BOUND_S and rates[1] <= rates[0] * 1.1 + 0.5 else 1)


if __name__ == "__main__":
    main()
