"""From the name on the command line to the source."""

from __future__ import annotations

from pathlib import Path

from sources.cdnow import cdnow
from sources.errors import MissingExtra, SourceError
from sources.jsonl import jsonl
from sources.online_retail import online_retail
from sources.source import Source

RECORDED = ("complete-journey", "cdnow", "online-retail")
"""The recorded data sets, by the name `rflow replay` takes; online-retail needs its file."""


def open_source(name: str, file: str | None = None) -> Source:
    """The source that `rflow replay NAME [FILE]` names: a recorded data set, a JSONL file, or `-` for standard input.

    Raises SourceError. Recorded data sets are read whole here; a JSONL file is streamed.
    """
    if name == "complete-journey":
        try:  # imported when asked for: what it reads with is an optional extra
            from sources.complete_journey import complete_journey
        except ImportError:
            raise MissingExtra(name, "polars") from None
        return complete_journey()
    if name == "cdnow":
        return cdnow()
    if name == "online-retail":
        if file is None:
            raise SourceError("online-retail needs its file: rflow replay online-retail FILE.csv[.gz|.xz|.zst]")
        return online_retail(Path(file))
    if name != "-" and (not Path(name).exists() or Path(name).is_dir()):
        raise SourceError(f"expected {', '.join(RECORDED)}, a JSONL file or - for standard input, found {name!r}")
    return jsonl(name)
