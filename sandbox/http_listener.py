"""A small threaded HTTP/1.1 server on loopback: it hands requests to one function and writes the reply."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

LARGEST_BODY = 8 * 1024 * 1024
IDLE_SECONDS = 30


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A dict is sent as JSON, a str as plain text. `hang_up` closes the connection and sends nothing."""

    status: int
    body: Mapping[str, object] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    stall_seconds: float = 0
    media_type: str | None = None
    """In place of the one that the body's type stands for."""


class NotStarted(Exception):
    """The server has no address yet."""


Answerer = Callable[[Request], Reply]


class Listener:
    """Opens no socket before it is started."""

    def __init__(self, answer: Answerer, port: int = 0) -> None:
        self._answer = answer
        self._port = port
        self._stopping = Event()
        self._server: LoopbackServer | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """Known once started: port 0 stands for any free one."""
        if self._server is None:
            raise NotStarted("Start the server before asking for its address.")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Again on the port of the last start, if there was one."""
        self._stopping = Event()
        self._server = LoopbackServer(("127.0.0.1", self._port), handler_for(self._answer, self._stopping))
        self._port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Also when it was never started."""
        self._stopping.set()
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class LoopbackServer(ThreadingHTTPServer):
    daemon_threads = True
    # An idle keep-alive connection would hold up server_close() until its timeout.
    block_on_close = False
    request_queue_size = 128


def handler_for(answer: Answerer, stopping: Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            """Nothing: receipts and tokens are in these requests."""

        def respond(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > LARGEST_BODY:
                self.close_connection = True
                return self.write(Reply(413, "Request Entity Too Large"))
            address = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            if stopping.is_set():
                # The listener is closed, but a caller's kept-alive connection is not: a server that is down is silent.
                self.close_connection = True
                return None
            reply = answer(Request(self.command, address.path, parse_qs(address.query), headers, body))
            if reply.stall_seconds:
                stopping.wait(reply.stall_seconds)
            if reply.hang_up:
                self.close_connection = True
                return None
            try:
                return self.write(reply)
            except ConnectionError:  # the caller would not wait for all of it
                self.close_connection = True
                return None

        def write(self, reply: Reply) -> None:
            text = isinstance(reply.body, str)
            # Apple's library reads an error's code only under exactly "application/json", without a charset.
            media_type = reply.media_type or ("text/plain" if text else "application/json")
            body = str(reply.body) if text else "" if reply.body is None else json.dumps(reply.body)
            self.send_response(reply.status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body.encode())))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - the names http.server looks for

    return Handler
