"""The file of rules while it changes: read again whenever it does, and what cannot be used leaves those in force."""

from __future__ import annotations

import logging
from pathlib import Path

from streams import metrics
from warroom.alerts.rules import Rules, RulesError, load_rules

log = logging.getLogger("rflow.alerts")


class RulesFile:
    """The rules in force: those of a file, or the defaults where there is none. Raises RulesError if the file cannot be used at first."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()
        self.rules = Rules() if path is None else load_rules(path)
        metrics.ALERT_RULES_VERSION.set(self.rules.version)

    def look(self) -> None:
        """Take the file's rules if it has changed. Those that cannot be used are told, counted, and passed over until it changes again."""
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.rules = load_rules(self._path)
        except RulesError as error:
            metrics.ALERT_RULES_REFUSED.inc()
            log.error("alert rules cannot be used, those before stay in force: %s", str(error).replace("\n", "; "))
            return
        metrics.ALERT_RULES_VERSION.set(self.rules.version)
        log.info("alert rules: version %d is in force", self.rules.version)

    def _stamp(self) -> tuple[int, int, int]:
        """What differs once a file is written or put in another's place; all 0 where there is none."""
        try:
            found = None if self._path is None else self._path.stat()
        except OSError:
            return -1, 0, 0
        return (0, 0, 0) if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
