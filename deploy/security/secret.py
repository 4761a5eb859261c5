"""Secrets that lie in files: read anew whenever one is needed, so that a changed file counts from the next connection on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger("rflow.secrets")

_MOST_BYTES = 64 * 1024


class SecretUnreadable(Exception):
    """A file that should hold a secret, and does not; the text says why and never what is in it."""


class SecretFile:
    """The secret in a file: its text without the line's end. May be asked from any thread.

    A file that is gone, empty or half written for a moment, as while it is being exchanged, leaves the last secret in force.
    """

    def __init__(self, path: Path) -> None:
        """Raises SecretUnreadable."""
        self._path = path
        self._secret = read_secret(path)
        self._trouble = ""

    def __repr__(self) -> str:
        return f"SecretFile({str(self._path)!r})"

    def __call__(self) -> str:
        try:
            self._secret = read_secret(self._path)
            self._trouble = ""
        except SecretUnreadable as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("the secret read last stays in force: %s", error)
        return self._secret


@cache
def secret_file(path: str) -> SecretFile:
    """The one reader of that file in this process. Raises SecretUnreadable."""
    return SecretFile(Path(path).expanduser())


def read_secret(path: Path) -> str:
    """Raises SecretUnreadable."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SecretUnreadable(f"expected a file with a secret at {path}: {error.strerror}") from None
    if len(raw) > _MOST_BYTES:
        raise SecretUnreadable(f"expected a secret in {path}, found more than {_MOST_BYTES} bytes")
    try:
        secret = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretUnreadable(f"expected a secret in {path}, found bytes that are not UTF-8") from None
    if not secret:
        raise SecretUnreadable(f"expected a secret in {path}, found it empty")
    return secret


def missing_files(table: str, names: Iterable[str], options: Mapping[str, Any]) -> list[str]:
    """A line for each of these options of a table that names a file which is not there."""
    given = [(name, str(options[name])) for name in names if name in options]
    return [f"{table}.{name}: expected a file, found none at {path}" for name, path in given if not Path(path).is_file()]
