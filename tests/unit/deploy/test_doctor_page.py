"""deploy/DOCTOR.md names everything that the doctor looks at, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.workers import ROOT

FOLDER = ROOT / "deploy" / "doctor"


def looked_at() -> Iterator[str]:
    """What findings are called, `…` for what is filled in."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("judged", "Finding"):
                match node.args[0]:
                    case ast.Constant(value=str(name)):
                        yield name
                    case ast.JoinedStr(values=parts):
                        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def test_the_page_names_all_that_is_looked_at() -> None:
    page = (ROOT / "deploy" / "DOCTOR.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("(")[0])}
    told = {name for name in looked_at() if name != "…"}
    assert len(told) > 40
    assert told - named == set()
    assert named - told <= {
        "host",
        "warroom_accounts",
        "alert_channels",
        "collect_sources",
        "pseudonym_key_file",
    }  # named after the look itself, and after settings
