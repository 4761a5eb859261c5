"""Left the group: call. One JSON line for each user who left their layer by leaving a group, for whoever makes the calls.

    python examples/helper/left_group.py --bootstrap localhost:9092 --calls calls.jsonl

No database: the file of calls only grows, and a small file beside it keeps the positions with the length up to which the calls count. What
lies behind that length was written by a run that was killed before it could say so; it is cut off, and told again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import closing, suppress
from pathlib import Path

from schemas.follow import Subscriber
from schemas.positions import FilePositions
from schemas.subscriber import Filter, Received

LEFT = Filter(from_={"R3"}, directions={"reverse"}, kinds={"retract"})


def call(one: Received) -> bytes:
    """One line of the file."""
    told = {"brand": one.brand, "user_id": one.user_id, "left_at": one.effective_at, "now": one.to, "guide_id": one.touch.guide_id}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def main() -> None:
    """Follows until interrupted, or until nothing has come for a while."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap", default="localhost:9092")
    options.add_argument("--topic", default="transitions")
    options.add_argument("--calls", type=Path, default=Path("calls.jsonl"))
    options.add_argument("--stop-after", type=float, metavar="SECONDS", help="stop when nothing has come for so long")
    chosen = options.parse_args()

    kept = FilePositions(chosen.calls.with_suffix(".positions"))
    stored, length = kept.load()
    with chosen.calls.open("ab") as calls:
        calls.truncate(length or 0)
        with closing(Subscriber({"bootstrap.servers": chosen.bootstrap}, topic=chosen.topic, positions=stored, wanted=LEFT)) as subscriber:
            last = time.monotonic()
            with suppress(KeyboardInterrupt):
                while chosen.stop_after is None or time.monotonic() - last < chosen.stop_after:
                    batch = subscriber.read(seconds=0.2)
                    if batch.moves:
                        calls.writelines(call(one) for one in batch.transitions)
                        calls.flush()
                        os.fsync(calls.fileno())
                        kept.save(subscriber.positions, calls.tell())
                        last = time.monotonic()


if __name__ == "__main__":
    main()
