"""Whether the process beside it is well: `python -m deploy.healthcheck [/readyz]`, for container engines. It starts at once."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

_SECONDS = 3.0


def main(arguments: list[str]) -> int:
    """0 if the path, /healthz by default, answers 200 at RFLOW_HTTP_PORT; otherwise 1, and what was answered."""
    path = arguments[0] if arguments else "/healthz"
    url = f"http://127.0.0.1:{os.environ.get('RFLOW_HTTP_PORT', '9100')}{path}"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS):
            return 0
    except urllib.error.HTTPError as error:
        print(error.read().decode(errors="replace"))
    except OSError as error:
        print(f"{url} does not answer: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
