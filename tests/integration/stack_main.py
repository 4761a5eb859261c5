"""A supervisor as a process of its own, to be interrupted and killed: `python -m tests.integration.stack_main DATA`.

Tells every event on a line of standard output, `up` when the stack is up, and dies of its errors with one line, as the command does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from deploy.stack.errors import StackError
from deploy.stack.process import ProcessSpec
from deploy.stack.servers import StackConfig
from deploy.stack.supervisor import Stack


async def main(data: Path) -> None:
    config = StackConfig(data=data, servers=frozenset({"broker", "redis"}), topics=("in",), groups=("g",), discard_state=True)
    async with Stack(config, on_event=lambda event: print(event.kind, event.process, event.detail, flush=True)) as stack:
        await stack.start(ProcessSpec(role="worker", argv=("sleep", "1000")), ProcessSpec(role="worker", number=2, argv=("sleep", "1000")))
        print("up", flush=True)
        await stack.run_until_stopped()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except StackError as error:
        sys.exit(f"error: {error}")
