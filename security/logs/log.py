"""Logs: one JSON object per line on standard output, without secrets, whatever the values contain."""

import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from flask import has_request_context
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_logger_name
from structlog.types import EventDict, Processor

from security.edge.client_address import client_address
from security.edge.request_id import Exchange
from security.logs.context import current_names
from security.logs.files import LogFiles
from security.logs.mask_secrets import mask_values
from security.logs.render import Render, json_line, terminal_line
from security.logs.sentry import report_exception
from security.logs.timestamp import timestamp

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_RUNNING_ON = re.compile(r"^ \* Running on (\S+)$", re.MULTILINE)
_QUIET_LOGGERS = {"werkzeug": logging.INFO, "urllib3": logging.WARNING, "alembic": logging.WARNING}


class RequestLog:
    """The line that every request leaves.

    It holds only values that cannot carry a secret, so nothing is masked here.
    """

    def __init__(self, *, enabled: bool, render: Render = json_line, files: LogFiles | None = None) -> None:
        self._enabled = enabled
        self._render = render
        self._files = files

    def write(self, exchange: Exchange, route: str | None, status: int, size: int | None) -> None:
        """Never the raw path, the query or a header: the route's rule is enough to tell what was called."""
        if not self._enabled:
            return
        line = {
            "timestamp": timestamp(),
            "level": "info",
            "event": "request",
            "method": exchange.method if exchange.method in _KNOWN_METHODS else "other",
            "route": route,
            "status": status,
            "duration_ms": round((time.perf_counter() - exchange.started) * 1000, 3),
            "bytes": size,
            **exchange.names(),
        }
        if self._files is not None:
            self._files.append_request(json_line(None, "info", line))
        _write_out(self._render(None, "info", line))


def configure_logging(level: str, *, pretty: bool = False, folder: Path | None = None) -> RequestLog:
    """Send structlog's and the standard library's records to standard output, and to files in `folder`.

    `pretty` is for a person's terminal.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    files = None if folder is None else LogFiles(folder)
    render = terminal_line() if pretty else json_line
    processors: list[Processor] = [
        report_exception,
        _complete,
        structlog.processors.format_exc_info,
        _mask,
        *([files] if files else ()),
        render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _OfLibraries()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[add_logger_name, ExtraAdder()],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                *processors,
                _text,
            ],
        )
    )
    root = logging.getLogger()
    for existing in [each for each in root.handlers if isinstance(each, _OfLibraries)]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(threshold)
    # It would print a record that cannot be written as it is, unmasked.
    logging.raiseExceptions = pretty
    for name, quiet in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(max(quiet, threshold))
    logging.getLogger("werkzeug").addFilter(_only_where_it_listens)  # a function, so it is added once
    return RequestLog(enabled=threshold <= logging.INFO, render=render, files=files)


def _only_where_it_listens(record: logging.LogRecord) -> bool:
    """Of what Flask's development server says, warnings and its address. Requests have our own line."""
    if record.levelno < logging.WARNING:
        found = _RUNNING_ON.search(record.getMessage())
        if found is None:
            return False
        record.msg, record.args = f"listening on {found[1]}", ()
    return True


def security_event(name: str, *, notable: bool = True, **fields: Any) -> None:
    """Record what concerns an account's security. A notable one, such as a reused refresh token, is a warning; an ordinary
    one, such as a sign-in, is not. Within a request the client's address goes with it.

    Give ids, never e-mail addresses.
    """
    if has_request_context():
        fields.setdefault("ip", client_address())
    log = structlog.get_logger()
    (log.warning if notable else log.info)(name, kind="security", **fields)


def _write_out(line: bytes) -> None:
    """As structlog's BytesLogger, without its lock: one call writes a whole line, and the stream has a lock of its own."""
    out = sys.stdout.buffer
    out.write(line + b"\n")
    out.flush()


class _OfLibraries(logging.Handler):
    """Records of libraries take the same way as our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write_out(self.format(record).encode())
        except Exception:
            self.handleError(record)


def _complete(_logger: Any, method: str, event: EventDict) -> EventDict:
    """The event's own fields stand first, and none is replaced."""
    return {"timestamp": timestamp(), "level": method, **event, **current_names(), **event}


def _text(_logger: Any, _method: str, line: Any) -> str:
    return str(line, "utf-8")


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    masked: EventDict = mask_values(event)
    return masked
