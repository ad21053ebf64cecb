"""The reference prediction server: POST /predict for signed requests, GET /health for anyone, nothing else.

Standard library only, one thread per connection, HTTP/1.1 with keep-alive. Start it with
`python -m examples.private_server` or `python examples/private_server/server.py`, or embed `PrivateServer`.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

if not __package__:  # started as a file: make the modules beside it importable by their full names
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.private_server.connection import Connection
from examples.private_server.mirror_verifier import (
    Keys,
    MemoryNonceStore,
    RequestVerifier,
    VerifiedRequest,
)
from examples.private_server.switches import Seen, Switches

BODY_LIMIT = 1024 * 1024

log = logging.getLogger("private_server")


class PrivateServer:
    """A server on its own thread: `with PrivateServer(keys) as server:`, or start() and stop().

    Port 0 takes a free one.

    With `test_switches`, `switches` may be set at any time (also by POST /_switches) and `seen` tells what
    arrived (also GET /_seen; DELETE forgets it). Without it neither address exists.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/predict",
        test_switches: bool = False,
        tolerance_seconds: int = 300,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.test_switches = test_switches
        self.switches = Switches()
        self.stopping = threading.Event()
        self.verifier = RequestVerifier(
            keys,
            MemoryNonceStore(clock=clock),
            tolerance_seconds=tolerance_seconds,
            body_limit=BODY_LIMIT,
            clock=clock,
        )
        self._seen = Seen()
        self._in_flight = 0
        self._lock = threading.Lock()
        self._listener = Listener((host, port), self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        host, port = self._listener.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close every connection, also those in the middle of an answer."""
        self.stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.close_connections()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def seen(self) -> Seen:
        """A copy of what was seen so far."""
        with self._lock:
            return Seen(
                self._seen.predictions,
                list(self._seen.request_ids),
                dict(self._seen.refused),
                self._seen.health_checks,
                self._seen.most_at_once,
            )

    def forget(self) -> None:
        with self._lock:
            self._seen = Seen(most_at_once=self._in_flight)

    def note_prediction(self, request: VerifiedRequest) -> None:
        """Count one that begins; note_finished() must follow."""
        with self._lock:
            self._in_flight += 1
            self._seen.predictions += 1
            self._seen.most_at_once = max(self._seen.most_at_once, self._in_flight)
            if self.test_switches:  # only then: the list has no bound
                self._seen.request_ids.append(str(request.context_members().get("rid", "")))

    def note_finished(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def note_refusal(self, code: str) -> None:
        with self._lock:
            self._seen.refused[code] = self._seen.refused.get(code, 0) + 1

    def note_health_check(self) -> None:
        with self._lock:
            self._seen.health_checks += 1


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2048

    def __init__(self, address: tuple[str, int], owner: PrivateServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        failure = sys.exception()
        if not isinstance(failure, ConnectionError | TimeoutError):
            log.error("a connection failed", exc_info=failure)


if __name__ == "__main__":
    from examples.private_server.__main__ import main

    main()
