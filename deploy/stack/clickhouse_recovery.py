"""What kill -9 can leave behind in a table without replicas: a deduplication token whose part never came to be.

The engine notes the token of an inserted part in the table's deduplication log, and only then gives the part its name. Killed in
between it drops the part at its next start, but knows the token: the same insert sent again would be taken for stored, and lost.
So before the engine is opened, tokens without a part are taken back here, as the engine itself takes back those of dropped parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ADDED, _DROPPED = "1", "2"
_PART = re.compile(r"(?P<partition>[^_]+)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a deduplication log: a part came or went, and with it the id made of its token."""

    operation: str
    part: str
    block: str

    @classmethod
    def parse(cls, line: str) -> Record | None:
        """The record of a line; None for one that was cut off."""
        fields = line.split("\t")
        if len(fields) != 3 or fields[0] not in (_ADDED, _DROPPED) or _PART.fullmatch(fields[1]) is None or not fields[2]:
            return None
        return cls(*fields)

    def __str__(self) -> str:
        return f"{self.operation}\t{self.part}\t{self.block}\n"


def orphans(records: Iterable[Record], parts: Iterable[str]) -> list[Record]:
    """The records that take back what was added for parts that are not among `parts`, nor within a part they were merged into."""
    known: dict[str, Record] = {}
    for record in records:
        if record.operation == _ADDED:
            known[record.block] = record
        else:
            known.pop(record.block, None)
    ranges: dict[str, list[tuple[int, int]]] = {}
    for name in parts:
        if part := _PART.fullmatch(name):
            ranges.setdefault(part["partition"], []).append((int(part["first"]), int(part["last"])))
    return [Record(_DROPPED, record.part, record.block) for record in known.values() if not _within(record.part, ranges)]


def _within(name: str, ranges: dict[str, list[tuple[int, int]]]) -> bool:
    part = _PART.fullmatch(name)
    assert part is not None
    first, last = int(part["first"]), int(part["last"])
    return any(low <= first and last <= high for low, high in ranges.get(part["partition"], ()))


def take_back_orphans(folder: Path) -> int:
    """Repair the deduplication logs of all tables below `folder`, and say how many tokens were taken back.

    To be called while no engine has the folder open: the next part to be inserted may get the missing part's name.
    """
    return sum(_repair(logs) for top in ("store", "data") for logs in folder.glob(f"{top}/*/*/deduplication_logs"))


def _repair(logs: Path) -> int:
    files = sorted(logs.glob("deduplication_log_*.txt"), key=lambda path: int(path.stem.rpartition("_")[2]))
    records: list[Record] = []
    for path in files:
        whole, _, cut_off = path.read_text().rpartition("\n")
        if cut_off:  # the engine would read nothing behind it
            path.write_text(whole + "\n" if whole else "")
        records += [record for line in whole.splitlines() if (record := Record.parse(line)) is not None]
    lost = orphans(records, (path.name for path in logs.parent.iterdir()))
    if lost:
        with files[-1].open("a") as log:
            log.writelines(str(record) for record in lost)
    return len(lost)
