"""What a release keeps in Redis, as it stands in the middle of every golden case: written once, read by every release after it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.meta import decode_meta, encode_meta
from streams.outbox import decode_entry, encode_entry
from tests.golden.cases import Case, all_cases, ladder_named
from tests.golden.engine import Sweep
from tests.golden.fold_engine import MemoryShard

FILE = "state.json"
KEPT_ENTRIES = 2
"""So many of the outbox entries are kept: as if the others had been acknowledged."""


@dataclass(frozen=True)
class Story:
    """A case on a ladder. `half` of its events have been taken when the shard is kept."""

    case: Case
    ladder: str

    @property
    def name(self) -> str:
        return f"{self.ladder}: {self.case.title}"

    @property
    def half(self) -> int:
        return (len(self.case.events) + 1) // 2

    def begun(self) -> MemoryShard:
        """The shard after the first half."""
        shard = MemoryShard(ladder_named(self.ladder))
        go_on(shard, self, 0, self.half)
        return shard


def stories() -> list[Story]:
    """Every golden case on every ladder it names."""
    return [Story(case, ladder) for case in all_cases() for ladder in case.expected]


def go_on(shard: MemoryShard, story: Story, begin: int, end: int | None = None) -> None:
    """A step for each of the story's events from one to another."""
    for event in story.case.events[begin:end]:
        if isinstance(event, Sweep):
            shard.sweep()
        else:
            shard.step([event])


def keep_state(folder: Path) -> None:
    """Writes the shards of all stories, byte for byte as they are stored, a line each."""
    kept = {story.name: _stored(story.begun(), story.half) for story in stories()}
    lines = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(value)}" for name, value in kept.items())
    (folder / FILE).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def kept_states(folder: Path) -> dict[str, dict[str, Any]]:
    """What `keep_state` wrote into a release's folder, by the stories' names."""
    found: dict[str, dict[str, Any]] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return found


def brought_back(story: Story, kept: dict[str, Any]) -> MemoryShard:
    """The shard as today's release reads it."""
    shard = MemoryShard(ladder_named(story.ladder))
    shard.resume(decode_meta({name: value.encode() for name, value in kept["meta"].items()}))
    shard.labels, shard.roster = list(kept["labels"]), list(kept["roster"])
    shard.states = {user: base64.b64decode(value) for user, value in kept["states"].items()}
    shard.entries = [decode_entry(base64.b64decode(value)) for value in kept["outbox"]]
    return shard


def _stored(shard: MemoryShard, half: int) -> dict[str, Any]:
    return {
        "half": half,
        "meta": {name: value.decode() for name, value in encode_meta(shard.meta).items()},
        "labels": shard.labels,
        "roster": shard.roster,
        "states": {user: base64.b64encode(value).decode() for user, value in shard.states.items()},
        "outbox": [base64.b64encode(encode_entry(entry)).decode() for entry in shard.entries[-KEPT_ENTRIES:]],
    }
