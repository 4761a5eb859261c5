"""The engine behind the embedded ClickHouse endpoint: chDB on one folder, one connection a statement.

Statements run side by side, each on a connection of its own, which costs a fraction of a millisecond: so a setting, a database
or a parameter holds for that one statement and cannot leak into the next.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast
from xml.sax.saxutils import escape

from deploy.stack.clickhouse_errors import Code, QueryError
from deploy.stack.clickhouse_recovery import take_back_orphans
from deploy.stack.clickhouse_statement import Statement

_FOLDER, _CONFIG = "chdb", "config.xml"
_BACKUPS = "backups"
"""Where `BACKUP ... TO File('NAME')` writes, in the data folder."""
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

_NOTHING = memoryview(b"")

_DEFAULTS: Mapping[str, str] = {
    # Newer engines collect small inserts by default; here an insert that was answered is stored, and deduplicated by its token.
    "async_insert": "0",
    # Newer engines read with one thread where less than some gigabytes are free for each: that is all that this one has.
    "max_threads_min_free_memory_per_thread": "0",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine may use of the machine."""

    memory_bytes: int = 2 << 30
    background_threads: int = 2


@dataclass(frozen=True, slots=True)
class Call:
    """One statement with all that holds for it alone."""

    statement: Statement
    marker: str
    """Names the running statement, for `Engine.cancel`."""
    data: Iterable[bytes] = ()
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    default_format: str = "TabSeparated"


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave: the bytes in the format asked for, and what it read and wrote."""

    body: memoryview = _NOTHING
    """Good only as long as this object lives: chDB frees the memory with `owner`, a view alone does not keep it."""
    owner: object = None
    read_rows: int = 0
    read_bytes: int = 0
    result_rows: int = 0
    written_rows: int = 0
    """Rows written behind materialised views count, and so do those that a token made drop: as on a server."""
    written_bytes: int = 0
    elapsed_seconds: float = 0.0


class _Connection(Protocol):
    """The part of chDB's connection used here; its own is not typed."""

    def query(self, query: str, format: str, params: Mapping[str, str] | None = None) -> Any: ...  # noqa: A002 - chDB's name

    def send_insert(self, query: str, format: str) -> Any: ...  # noqa: A002 - chDB's name

    def close(self) -> None: ...


class Engine:
    """chDB on a folder. All methods may be called from any thread and block it; at most one engine a process."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """Open or create what is stored in `folder`, and make it the process's working directory.

        Relative names are why: chDB takes its folder and its configuration in one string of `?` and `&`, which a path may hold.
        """
        os.chdir(folder)
        Path(_CONFIG).write_text(_configuration(limits))
        self.tokens_taken_back = take_back_orphans(Path(_FOLDER))
        import chdb  # only now: half a second, and from the time zone in the environment at that moment

        self._chdb: Any = chdb
        try:
            self._root = self._connect(f"?config-file={_CONFIG}")  # kept open: the engine ends with its last connection
            self.version, self.timezone = self._ask("SELECT version(), timezone()").split("\t")
        except Exception as error:
            raise QueryError.from_engine(error) from error
        self._running = 0
        self._closing = False
        self._idle = threading.Condition()

    def execute(self, call: Call) -> Result:
        """Run a statement to its end. Raises QueryError; an insert that raised may have stored whole blocks of its data."""
        with self._idle:
            if self._closing:  # a connection now would open the engine again
                raise QueryError(Code.ABORTED, "The endpoint is stopping")
            self._running += 1
        try:
            connection = self._connect()
            try:
                return _run(connection, call)
            finally:
                connection.close()
        except QueryError:
            raise
        except Exception as error:
            raise QueryError.from_engine(error) from error
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def cancel(self, marker: str) -> None:
        """Ask the statement of that marker to stop, if it still runs. Returns at once."""
        self._kill(f"Settings['log_comment'] = {_literal(marker)}")

    def close(self, grace_seconds: float) -> bool:
        """Wait for what runs, then end it, then close the engine. False if a statement would not end; the engine is then left open."""
        with self._idle:
            self._closing = True
        if not self._wait_idle(grace_seconds):
            self._kill("query NOT LIKE 'KILL %'")
            if not self._wait_idle(2.0):
                return False
        self._root.close()
        return True

    def _wait_idle(self, seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._running == 0, timeout=seconds)

    def _kill(self, condition: str) -> None:
        with suppress(Exception):  # it may have ended by itself
            self._ask(f"KILL QUERY WHERE {condition} ASYNC")

    def _connect(self, options: str = "") -> _Connection:
        return cast("_Connection", self._chdb.connect(_FOLDER + options))

    def _ask(self, query: str) -> str:
        connection = self._connect()
        try:
            return bytes(connection.query(query, "TabSeparated").bytes()).decode().rstrip("\n")
        finally:
            connection.close()


def _run(connection: _Connection, call: Call) -> Result:
    began = time.perf_counter()
    if call.database:
        connection.query("USE `" + call.database.replace("\\", "\\\\").replace("`", "\\`") + "`", "Null")
    connection.query(_set({**_DEFAULTS, "log_comment": call.marker, **call.settings}), "Null")
    statement = call.statement
    try:
        text = statement.text.decode()
    except UnicodeDecodeError as error:
        raise QueryError(Code.SYNTAX_ERROR, f"Syntax error: the statement is not UTF-8: {error}") from error
    if statement.data_format is not None:
        inserter = connection.send_insert(text + "\n", statement.data_format)  # the line's end closes a `--` comment
        try:
            for piece in call.data:
                inserter.append(piece)
            written = inserter.finish()
        finally:
            inserter.close()  # takes back what was not finished
        return Result(
            written_rows=written.rows_written,
            written_bytes=written.bytes_written,
            elapsed_seconds=time.perf_counter() - began,
        )
    done = connection.query(text, call.default_format, call.params)
    return Result(
        body=done.get_memview().view() if done.size() else _NOTHING,
        owner=done,
        read_rows=done.storage_rows_read(),
        read_bytes=done.storage_bytes_read(),
        result_rows=done.rows_read(),
        written_rows=done.rows_written(),
        written_bytes=done.bytes_written(),
        elapsed_seconds=time.perf_counter() - began,
    )


def _set(settings: Mapping[str, str]) -> str:
    for name in settings:
        if _SETTING_NAME.fullmatch(name) is None:
            raise QueryError(Code.UNKNOWN_SETTING, f"Unknown setting {_literal(name)}.")
    return "SET " + ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _configuration(limits: Limits) -> str:
    """chDB's configuration. A part is on the disk before its insert is answered: this outlives the power too, for about 2 ms."""
    values = {
        "max_server_memory_usage": limits.memory_bytes,
        "background_pool_size": limits.background_threads,
        "background_schedule_pool_size": limits.background_threads,
        "mark_cache_size": min(64 << 20, limits.memory_bytes // 16),
        "primary_index_cache_size": min(64 << 20, limits.memory_bytes // 16),
        "merge_tree": {"fsync_after_insert": 1, "fsync_part_directory": 1},
        "backups": {"allowed_path": str(Path(_BACKUPS).absolute())},
    }
    return f"<clickhouse>\n{_elements(values)}</clickhouse>\n"


def _elements(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>\n{_elements(value)}</{name}>\n" if isinstance(value, Mapping) else f"<{name}>{escape(str(value))}</{name}>\n"
        for name, value in values.items()
    )
