"""Logs: one JSON object per line on standard output, without secrets, whatever the values contain."""

import logging
import re
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
import structlog
from flask import Response, has_request_context, request
from structlog.types import EventDict, Processor

from security.edge.client_address import client_address
from security.edge.request_id import Exchange, current_exchange
from security.logs.mask_secrets import mask_values
from security.logs.timestamp import timestamp

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Characters that orjson leaves as they are and that some terminals and readers take for a command or a new
# line: DEL, the 8-bit controls (among them CSI), and the line and paragraph separators.
_UNSAFE_IN_UTF8 = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
_UNSAFE_IN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_RUNNING_ON = re.compile(r"^ \* Running on (\S+)$", re.MULTILINE)
_QUIET_LOGGERS = {"werkzeug": logging.INFO, "urllib3": logging.WARNING, "alembic": logging.WARNING}

_written_to = lru_cache(4)(structlog.BytesLogger)


class RequestLog:
    """The line that every request leaves.

    It holds only values that cannot carry a secret, so nothing is masked here.
    """

    def __init__(self, *, enabled: bool, pretty: bool) -> None:
        self._enabled = enabled
        self._render = _pretty if pretty else _json

    def write(self, exchange: Exchange, response: Response) -> None:
        """Never the raw path, the query or a header: the route's rule is enough to tell what was called."""
        if not self._enabled:
            return
        rule = request.url_rule
        line: dict[str, Any] = {
            "timestamp": timestamp(),
            "level": "info",
            "event": "request",
            "method": exchange.method if exchange.method in _KNOWN_METHODS else "other",
            "route": rule.rule if rule is not None else None,
            "status": response.status_code,
            "duration_ms": round((time.perf_counter() - exchange.started) * 1000, 3),
            "bytes": response.calculate_content_length(),
            "request_id": exchange.request_id,
        }
        if exchange.user_id is not None:
            line["user_id"] = exchange.user_id
        if exchange.actor_id is not None:
            line["actor_id"] = exchange.actor_id
        _written_to(sys.stdout.buffer).msg(self._render(None, "info", line))


def configure_logging(level: str, pretty: bool = False) -> RequestLog:
    """Send structlog's and the standard library's records to standard output; `pretty` is for a person's terminal."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    processors: list[Processor] = [_complete, structlog.processors.format_exc_info, _mask, _pretty if pretty else _json]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _StandardLibraryHandler(tuple(processors))
    root = logging.getLogger()
    for existing in [each for each in root.handlers if isinstance(each, _StandardLibraryHandler)]:
        root.removeHandler(existing)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name, quiet in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(max(quiet, threshold))
    logging.getLogger("werkzeug").addFilter(_only_where_it_listens)  # a function, so it is added once
    return RequestLog(enabled=threshold <= logging.INFO, pretty=pretty)


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


class _StandardLibraryHandler(logging.Handler):
    """Records of libraries take the same way as our own lines, with the fields that `extra` gave them."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        super().__init__()
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line: Any = {
                "event": record.getMessage(),
                "logger": record.name,
                "exc_info": record.exc_info,
                **{name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD},
            }
            for processor in self._processors:
                line = processor(None, record.levelname.lower(), line)
            _written_to(sys.stdout.buffer).msg(line)
        except Exception:
            self.handleError(record)


def _complete(_logger: Any, method: str, event: EventDict) -> EventDict:
    line: EventDict = {"timestamp": timestamp(), "level": method, **event}
    exchange = current_exchange()
    if exchange is not None:
        line.setdefault("request_id", exchange.request_id)
        if exchange.user_id is not None:
            line.setdefault("user_id", exchange.user_id)
        if exchange.actor_id is not None:
            line.setdefault("actor_id", exchange.actor_id)
    return line


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    masked: EventDict = mask_values(event)
    return masked


def _json(_logger: Any, _method: str, event: EventDict) -> bytes:
    line = orjson.dumps(event, option=orjson.OPT_UTC_Z)
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE_IN_UTF8.sub(lambda match: rb"\u%04x" % ord(match[0].decode()), line)


def _pretty(_logger: Any, _method: str, event: EventDict) -> bytes:
    line = {name: value for name, value in event.items() if value is not None}
    exception = str(line.pop("exception", ""))
    shown = f"{line.pop('timestamp')} {line.pop('level'):8} {line.pop('event')}"
    shown += "".join(f" {name}={value}" for name, value in line.items())
    lines = [shown, *(f"    {part}" for part in exception.split("\n") if part)]
    return "\n".join(_UNSAFE_IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", part) for part in lines).encode()
