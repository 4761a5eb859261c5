"""How the report looks, on a screen and on A4."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

STYLE = files("warroom.report").joinpath("report.css").read_text(encoding="utf-8")

POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; base-uri 'none'; "
    "form-action 'none'"
)
"""What the file may load: nothing. Its own style is known by its hash."""
