"""The `rflow` command."""

from __future__ import annotations

import logging
import sys

from deploy.cli.common import complain


def main() -> None:
    """Runs the command; mistakes and failures are one line on standard error and a status other than 0."""
    from deploy.cli.commands import app_of

    # What ClickHouse's client has to say of a failure is in the error itself.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    try:
        app_of(sys.argv[1:])()
    except Exception as error:
        sys.exit(complain(error))
