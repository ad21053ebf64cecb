"""What stands in front of a production server: TLS and a proxy. It can be set up wrongly."""

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

TLS_HANDSHAKE = b"\x16"
"""The first byte of a client that begins with TLS (RFC 8446, 5.1)."""


@dataclass
class Faults:
    """`forwards`: it says that the client came by https. `also_plain`: it serves http on the same port. `adds`, `drops`:
    headers of answers. `blocks`: beginnings of paths that it answers itself. `hangs_up`: it closes every connection.
    """

    forwards: bool = True
    also_plain: bool = False
    adds: dict[str, str] = field(default_factory=dict)
    drops: set[str] = field(default_factory=set)
    blocks: tuple[str, ...] = ()
    hangs_up: bool = False


class QuietHandler(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        pass


class PublicFront(ThreadedWSGIServer):
    """`application` is what it stands in front of; set it before the first request."""

    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        self.faults = Faults()
        self.application: Callable[..., Iterable[bytes]] | None = None
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        super().__init__("127.0.0.1", 0, self.serve, QuietHandler)
        self.url = f"https://localhost:{self.port}"
        self._thread = Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self.faults.hangs_up:
            connection.close()
            raise OSError
        plain = self.faults.also_plain and connection.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE
        return (connection if plain else self._tls.wrap_socket(connection, server_side=True)), address

    def handle_error(self, *_: Any) -> None:
        """A client that speaks no TLS, or does not trust us, is no trouble of ours."""

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert self.application is not None
        environ["wsgi.url_scheme"] = "http"  # as behind a proxy
        environ["HTTP_X_FORWARDED_FOR"] = "198.51.100.7"
        if self.faults.forwards:
            environ["HTTP_X_FORWARDED_PROTO"] = "https"
        if self.faults.blocks and environ["PATH_INFO"].startswith(self.faults.blocks):
            start_response("405 Not Allowed", [("Content-Length", "0")])
            return [b""]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            kept = [(name, value) for name, value in headers if name not in self.faults.drops]
            return start_response(status, [*kept, *self.faults.adds.items()], exc_info)

        return self.application(environ, start)
