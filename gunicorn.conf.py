"""The one configuration of the web server: `gunicorn -c gunicorn.conf.py "app:create_app()"`.

gthread with many threads: a prediction takes seconds, so its thread waits, and a waiting thread costs memory
alone. How many predictions may wait at once is the application's own cap, below the number of threads.
"""

import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import gunicorn.glogging
import gunicorn.http.wsgi

# gunicorn reads this file before it puts the project on the path.
sys.path.insert(0, str(Path(__file__).parent))

from config import load_settings_or_exit

# Checked here, once, before any process is started that would only end and be started again.
settings = load_settings_or_exit()

CLIENT_SILENCE_SECONDS = 10
"""How long a client may send nothing within a request, and how long it may refuse to read the answer."""

THREAD_STACK_BYTES = 2 * 1024 * 1024
"""Small enough for thousands of threads, and large enough for Python's recursion limit.

With 1 MiB a deeply nested value ends the process by a segmentation fault and not by a RecursionError (measured
on CPython 3.11, x86-64 Linux). A stack is address space: it costs memory only as far as it has been used.
"""

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the processes' heartbeat files; on a disk they can block

bind = f"0.0.0.0:{settings.port}"
worker_class = "gthread"
workers = settings.web_concurrency
threads = settings.web_threads
worker_connections = settings.web_threads + 1000  # Idle kept-alive connections hold no thread.
backlog = 2048
preload_app = False  # Each process opens its own connections.
worker_tmp_dir = str(MEMORY_FOLDER) if MEMORY_FOLDER.is_dir() else None

keepalive = (
    75  # Above the idle time of routers in front (Heroku 55 s, Railway 60 s), so that they close first.
)
timeout = 60  # The main loop's heartbeat, not a request's: requests run in threads.
graceful_timeout = (
    int(settings.private_api_timeout) + 10
)  # Predictions in progress are finished and recorded.

limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
header_map = "drop"  # `X_User_Id` must not become the same variable as `X-User-Id`.
forwarder_headers = ""  # No proxy may set SCRIPT_NAME or PATH_INFO.
forwarded_allow_ips = ""  # Forwarded headers are read by the application alone, by TRUSTED_PROXY_HOPS.

accesslog = None  # The application writes one line per request itself.
errorlog = "-"
loglevel = "info"
control_socket_disable = True
proc_name = "mirroros"


class BriefLogger(gunicorn.glogging.Logger):  # type: ignore[misc]
    """A flood of half-open connections must not become a flood of tracebacks."""

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if isinstance(sys.exception(), BlockingIOError):
            self.info("A client fell silent within a request and was disconnected.")
        else:
            super().exception(msg, *args, **kwargs)


logger_class = BriefLogger


class QuietResponse(gunicorn.http.wsgi.Response):  # type: ignore[misc]
    """Answers without a `Server` header: it tells a stranger what to attack (ASVS 5.0, 13.4.6)."""

    def default_headers(self) -> list[str]:
        return [header for header in super().default_headers() if not header.startswith("Server:")]


def on_starting(server: Any) -> None:
    threading.stack_size(THREAD_STACK_BYTES)
    gunicorn.http.wsgi.Response = QuietResponse


def when_ready(server: Any) -> None:
    """Accepted connections inherit these limits from the listening socket.

    Without them a client that sends half a request holds its thread for ever: gthread reads without a limit.
    """
    limit = struct.pack("ll", CLIENT_SILENCE_SECONDS, 0)
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
