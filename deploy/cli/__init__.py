"""The `rflow` command."""

from __future__ import annotations

import sys

from deploy.cli.common import complain


def main() -> None:
    """Runs the command; mistakes and failures are one line on standard error and a status other than 0."""
    from deploy.cli.commands import app

    try:
        app()
    except Exception as error:
        sys.exit(complain(error))
