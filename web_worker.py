"""gunicorn's threaded worker, with what strangers on the internet would use against it changed, and how it stops."""

import json
import logging
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import gunicorn.http.wsgi
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from security.timestamp import timestamp

THREAD_STACK_BYTES = 2 * 1024 * 1024
"""Small enough for thousands of threads, and large enough for Python's recursion limit.

With 1 MiB a deeply nested value ends the process by a segmentation fault and not by a RecursionError (measured on CPython 3.11,
x86-64 Linux). A stack is address space: it costs memory only as far as it has been used.
"""


UNREADABLE = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
)
"""What gunicorn refuses before the application sees it, the special before the general."""


class QuietResponse(gunicorn.http.wsgi.Response):  # type: ignore[misc]
    """Answers without a `Server` header: it tells a stranger what to attack (ASVS 5.0, 13.4.6)."""

    def default_headers(self) -> list[str]:
        return [header for header in super().default_headers() if not header.startswith("Server:")]


class WebWorker(ThreadWorker):  # type: ignore[misc]
    def init_process(self) -> None:
        threading.stack_size(THREAD_STACK_BYTES)
        gunicorn.http.wsgi.Response = QuietResponse
        super().init_process()

    def load_wsgi(self) -> None:
        """An application that will not start has said why and ends the server: gunicorn would start it again, for ever."""
        try:
            super().load_wsgi()
        except SystemExit:
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from None

    def set_accept_enabled(self, enabled: bool) -> None:
        """Once told to stop, answer who has already connected and refuse who comes later.

        gunicorn only stops listening to its socket: the system goes on taking connections, which hang until the last request
        has ended and are then cut off. A proxy that is refused asks another process at once.
        """
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            while self.nr_conns < self.worker_connections:
                before = self.nr_conns
                self.accept(listener)
                if self.nr_conns == before:
                    break
            listener.close()

    def handle(self, conn: TConn) -> Any:
        """Close a finished connection here, in the request's own thread.

        gunicorn 27 closes it in the main loop, where it waits up to 2 seconds for the client to close too: one client that keeps
        its side open stops the process from accepting anyone.
        """
        outcome = super().handle(conn)
        if outcome is False:
            conn.close(graceful=True)
            conn.close = _is_closed_already
        return outcome

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """A problem document like every other refusal. gunicorn's own page, and its log line, repeat what was sent."""
        # Not at the top: the master process reads this file too, and would hold 70 MB of libraries that only workers need.
        from security.unread_request import unread_request_answer  # noqa: PLC0415

        status = next(
            (status for kind, status in UNREADABLE if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request_failed_outside_application", exc_info=exc)
        else:
            self.log.info("request_unreadable", extra={"reason": type(exc).__name__})
        with suppress(OSError):
            util.write_nonblock(client, unread_request_answer(status))


def _is_closed_already(graceful: bool = False) -> None:
    """The main loop closes every finished connection; for these it only has to count them."""


class JsonLines(logging.Formatter):
    """As the lines of the application (security/log.py), whose libraries the master process does not hold."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": timestamp(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "pid": record.process,
        }
        if reason := getattr(record, "reason", None):
            line["reason"] = reason
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class BriefLogger(Logger):  # type: ignore[misc]
    """The master's and the workers' own lines. A flood of half-open connections must not become a flood of tracebacks."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if isinstance(sys.exception(), BlockingIOError):
            self.info("client_fell_silent")
        else:
            super().exception(msg, *args, **kwargs)


def limit_silence(listeners: Iterable[socket.socket], seconds: int) -> None:
    """How long a client may send nothing within a request, or refuse to read its answer. Accepted connections inherit it.

    Without it a client that sends half a request holds its thread for ever: gthread reads without a limit.
    """
    limit = struct.pack("ll", seconds, 0)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
