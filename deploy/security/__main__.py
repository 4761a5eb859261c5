"""Writes the table of SECURITY.md anew."""

from __future__ import annotations

from deploy.security.page import PAGE, written

PAGE.write_text(written(PAGE.read_text()))
