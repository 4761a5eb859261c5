"""Keeps the contract, and what shards keep in Redis, as they stand now, once a release: `python -m tests.released.keep 0.2`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

from schemas.topics import load_topics
from tests.released.state import keep_state

ROOT = Path(__file__).parents[2]
PROGRAMS = ("producer.py", "subscriber.py")


def keep(version: str, into: Path) -> Path:
    """Copies schemas, valid examples, the programs to copy and shards' stored state into a folder for `version`.

    Raises FileExistsError if it is there.
    """
    folder = into / f"v{version.replace('.', '_')}"
    (folder / "json").mkdir(parents=True)
    for name, topic in load_topics().items():
        schema = json.loads((ROOT / "schemas" / topic.schema).read_text(encoding="utf-8"))
        (folder / "json" / f"{name}.json").write_text(json.dumps(schema, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.copytree(ROOT / "schemas" / "examples" / name / "valid", folder / "examples" / name)
    for program in PROGRAMS:
        shutil.copy(ROOT / "examples" / program, folder / program)
    keep_state(folder)
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+", sys.argv[1]):
        sys.exit("expected the version that is released, such as 0.2")
    print(keep(sys.argv[1], Path(__file__).parent))
