"""The log as files in one folder, beside standard output. Any number of processes may write to them."""

import logging
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from structlog.types import EventDict

from security.logs.folder import ACCESS, APP, ERROR, FILES, SECURITY
from security.logs.render import json_line

_ERRORS = frozenset({"error", "critical"})


class LogFiles:
    """A processor that writes each line as JSON and hands it on.

    Each line is one write to a file that was opened for appending, so lines of several processes do not mix. A file that was
    moved away is opened anew, so logrotate needs to tell nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {name: _LogFile(folder / name, encoding="utf-8") for name in FILES}

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        line = json_line(logger, method, event)
        self._append(APP, line)
        if method in _ERRORS:
            self._append(ERROR, line)
        if event.get("kind") == "security":
            self._append(SECURITY, line)
        return event

    def append_request(self, line: bytes) -> None:
        self._append(ACCESS, line)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, line: bytes) -> None:
        self._files[name].handle(logging.makeLogRecord({"msg": line.decode()}))


class _LogFile(WatchedFileHandler):
    """What cannot be written is left out, for it is no reason to refuse a request; the next line tries again."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # moved away where no new one can be made, or while the disk was full
            if (stream := self.stream) is not None:
                self.stream = None
                with suppress(OSError):
                    stream.close()
