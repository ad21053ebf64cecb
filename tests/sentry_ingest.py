"""A Sentry on loopback that keeps what the real SDK sends to it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sentry_sdk.envelope import Envelope


class Ingest:
    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/1"
        self.dsn = f"http://public@127.0.0.1:{port}/1"
        self.received: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    @property
    def text(self) -> str:
        """Everything that arrived."""
        return b"\n".join(self.received).decode()

    def events(self) -> list[dict[str, Any]]:
        found = (Envelope.deserialize(each).get_event() for each in self.received)
        return [dict(event) for event in found if event is not None]


@contextmanager
def sentry_ingest() -> Iterator[Ingest]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ingest.headers.append(dict(self.headers))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ingest.received.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ingest = Ingest(server.server_port)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield ingest
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
