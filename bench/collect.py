"""The collector against a load generator of its own process: requests a second, waits, and CPU seconds a request, on a real Kafka.

    python -m bench.collect [--seconds 10] [--connections 32]

Needs `wrk` (Debian: `apt-get install wrk`). Kafka, the collector and wrk share the machine, so that requests a second say what this machine
does with all three on it; the collector's CPU seconds a request say what a core of its own would do, and are what to plan with. The exit
status is 0 only if every answer was 200 and every record that was acknowledged is in Kafka.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from bench.machine import cpu_seconds, describe
from schemas.touchpoint import Kind
from tests.integration.collecting import PARTITIONS, TOKEN, Site, site
from tests.servers import Servers
from tests.workers import Worker

_SCRIPT = """
local size, at, number, thread = tonumber(os.getenv("BATCH")), os.getenv("AT"), 0, 0
wrk.method, wrk.path = "POST", "/v1/touchpoints"
wrk.headers["Content-Type"], wrk.headers["Authorization"] = "application/json", "Bearer " .. os.getenv("TOKEN")
local function record()
  number = number + 1
  return string.format('{"event_id":"%s-%d","type":"qr_scan","brand":"acme","user_id":"u%06d","occurred_at":%s,' ..
    '"channel":"douyin","campaign_id":"d11-teaser","store_id":"sh-017"}', tostring(wrk), number, number % 100000, at)
end
request = function()
  if size == 1 then return wrk.format(nil, nil, nil, record()) end
  local parts = {}
  for i = 1, size do parts[i] = record() end
  return wrk.format(nil, nil, nil, "[" .. table.concat(parts, ",") .. "]")
end
done = function(summary, latency)
  io.write(string.format("RESULT %d %d %d %f %f %f\\n", summary.requests, summary.errors.status, summary.errors.connect +
    summary.errors.read + summary.errors.write + summary.errors.timeout, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3))
end
"""


class Run(NamedTuple):
    """One run of wrk. `p50` and `p99` in milliseconds; `cpu` the collector's CPU microseconds a request."""

    batch: int
    requests: int
    wrong: int
    seconds: float
    p50: float
    p99: float
    cpu: float

    def row(self) -> str:
        """A line of the table."""
        rate = self.requests / self.seconds
        core = 1e6 / self.cpu
        return (
            f"| {self.batch} | {rate:,.0f} | {rate * self.batch:,.0f} | {self.p50:.1f} | {self.p99:.1f} | {self.cpu:,.0f} "
            f"| {core:,.0f} | {core * self.batch:,.0f} |"
        )


def run(place: Site, process: Worker, batch: int, seconds: int, connections: int) -> Run:
    """wrk against the collector, `batch` records a request."""
    script = place.folder / "post.lua"
    script.write_text(_SCRIPT)
    given = {**os.environ, "BATCH": str(batch), "AT": str(int(time.time() * 1000)), "TOKEN": TOKEN}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script, f"http://127.0.0.1:{place.port}"]
    before = cpu_seconds(process.process.pid)
    told = subprocess.run([str(word) for word in command], env=given, capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(process.process.pid) - before
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) ([\d.]+)", told)
    assert found is not None, told
    requests, status, errors = (int(part) for part in found.groups()[:3])
    return Run(batch, requests, status + errors, float(found[4]), float(found[5]), float(found[6]), 1e6 * used / requests)


def stored(place: Site) -> int:
    """How many records lie on the topic."""
    consumer = Consumer({"bootstrap.servers": place.deployment.bootstrap, "group.id": "bench"})
    topic = place.deployment.topic(Kind.INTERACTION.topic)
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10) for partition in range(PARTITIONS)]
    consumer.close()
    return sum(high - low for low, high in ends)


def peak_bytes(pid: int) -> int:
    """The most memory a process has held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def main() -> int:
    """Measures, prints a table, and says whether what has to hold did."""
    parser = argparse.ArgumentParser(description="How fast the collector is on this machine.")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr)
        return 2
    given = {"collect_in_flight_records": 50_000}
    with (
        tempfile.TemporaryDirectory() as folder,
        Servers(Path(folder) / "servers") as servers,
        site(Path(folder), servers.kafka().address, "bench.", **given) as place,
    ):
        process = place.start()
        run(place, process, 100, 2, arguments.connections)  # warm
        runs = [run(place, process, batch, arguments.seconds, arguments.connections) for batch in (1, 100)]
        accepted = process.metric("rflow_collect_records_total", outcome="accepted")
        lie, memory = stored(place), peak_bytes(process.process.pid)
    machine = describe()
    print(f"{machine.cores} cores, {machine.processor}, Python {machine.python}; load {os.getloadavg()[0]:.1f} at the end\n")
    print("| records a request | requests/s | records/s | p50 ms | p99 ms | CPU µs a request | requests/s a core | records/s a core |")
    print("|---|---|---|---|---|---|---|---|")
    for one in runs:
        print(one.row())
    print(f"\n{accepted:,.0f} records acknowledged, {lie:,} in Kafka; the collector took {memory / 1e6:,.0f} MB at most")
    return 0 if lie >= accepted and not any(one.wrong for one in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
