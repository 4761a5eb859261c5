"""A sink as a process of its own, for tests: arguments as `sink_world.sink_process` gives them."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from schemas.ladder_file import load_ladder
from sinks.config import OnGap
from sinks.errors import SinkError
from sinks.sink import run
from streams.crash import arm
from tests.integration.sink_config import config


def main() -> None:
    """Run until SIGTERM; exit status 1 and the reason on stderr if the sink cannot go on."""
    bootstrap, prefix, url, database, linger, rows, on_gap, crash_at, nth = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    if crash_at:
        arm(crash_at, int(nth))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("hears SIGTERM", flush=True)
    settings = config(bootstrap, prefix, url, database, linger=float(linger), block_rows=int(rows), on_gap=OnGap(on_gap))
    try:
        run(settings, load_ladder("5r"), stop)
    except SinkError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
