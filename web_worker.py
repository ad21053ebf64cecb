"""gunicorn's threaded worker, with what strangers on the internet would use against it changed, and how it stops."""

import errno
import gc
import json
import logging
import os
import resource
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import gunicorn.http.wsgi
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from security.edge.arriving_request import ArrivingRequest
from security.edge.client_socket import ClientSocket
from security.edge.late_body import LateBody
from security.edge.plain_request import PlainRequestParser
from security.edge.plain_response import PlainResponse
from security.edge.request_threads import RequestThreads
from security.edge.waiting_clients import WaitingClients
from security.logs.timestamp import timestamp

THREAD_STACK_BYTES = 2 * 1024 * 1024
"""Small enough for thousands of threads, and large enough for Python's recursion limit.

With 1 MiB a deeply nested value ends the process by a segmentation fault and not by a RecursionError (measured on CPython 3.11,
x86-64 Linux). A stack is address space: it costs memory only as far as it has been used.
"""


RECEIVED_AT_ONCE = 16 * 1024
OTHER_OPEN_FILES = 1000
ROOM_IS_NEEDED = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

UNREADABLE = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    ((errors.InvalidResponseHeader, errors.InvalidResponseHeaderName), HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
)
"""What gunicorn refuses before the application sees it, the special before the general."""


@dataclass(frozen=True)
class Patience:
    """Seconds that a client has. Every `bytes_per_second` that it sends of a body, or takes of an answer, earn it one more."""

    head: float = 10
    body: float = 20
    late_body: float = 120
    """In all, for one that holds a thread while it arrives: see late_body.py."""
    answer: float = 20
    close: float = 2
    bytes_per_second: int = 500


@dataclass(frozen=True)
class ClientLimits:
    """`per_address`: how many connections of one address a process waits for at once, see `WaitingClients`."""

    per_address: int
    trusted_proxy_hops: int
    patience: Patience = Patience()
    bytes_in_all: int = 64 * 1024 * 1024
    """Of requests that are not whole, and of answers that are not taken."""


class ClientUnreader(Unreader):  # type: ignore[misc]
    """Where gunicorn's parser gets what the main loop has read, and its thread the rest of a body that is late."""

    late: LateBody | None = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        return b"" if self.late is None else self.late.receive(size_hint or RECEIVED_AT_ONCE)

    def read(self, size: int | None = None, read_ahead: int | None = None) -> Any:
        """At most so much where no size is named: gunicorn copies what it gets then once for every chunk that it holds."""
        if size is None and len(self.buf.getbuffer()) > RECEIVED_AT_ONCE:
            size = RECEIVED_AT_ONCE
        return super().read(size, read_ahead)


class Connection(TConn):  # type: ignore[misc]
    """The main loop reads it and sends what a client is slow to take. A thread gets it with a whole request."""

    def __init__(self, cfg: Any, accepted: socket.socket, client: Any, server: Any) -> None:
        self.sock: ClientSocket
        super().__init__(cfg, ClientSocket(accepted), client, server)
        self.parser = PlainRequestParser(cfg, (), client)
        self.parser.unreader = ClientUnreader()
        self.initialized = self.data_ready = True  # or gunicorn's thread would wait for the first byte
        self.peer = client[0] if isinstance(client, tuple) else ""  # a Unix socket has no address
        self.request = ArrivingRequest()
        self.then: Callable[[Connection], None] | None = None
        """What the main loop does when the client sends, or takes more; None while a thread has the request."""
        self.watched = 0
        """For which events."""
        self.early = b""
        """The next request, as far as it came before a thread was done with this one."""
        self.sender: str | None = None
        """Whom it counts for while it is waited for: the client's network, None for a proxy's own connection."""
        self.keep_alive = True
        """Whether a request may come; else its answer is all that is left."""
        self.until = 0.0
        """When it is given up, on the monotonic clock."""
        self.held_bytes = 0

    def close(self, graceful: bool = False) -> None:
        self.sock.free()


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads read from the client and write to it, so a few hundred slow clients hold them all. Here they never
    wait for a client: the main loop does, for all of them at once, and for none of them for long.
    """

    limits: ClientLimits
    core: int | None
    """Set by gunicorn.conf.py."""

    def init_process(self) -> None:
        # Not at the top: the master process reads this file too, and would hold 70 MB of libraries that only workers need.
        from security.edge.client_address import TrustedProxies, network_of  # noqa: PLC0415
        from security.metrics.shared_values import keep_values_in_memory  # noqa: PLC0415

        keep_values_in_memory()
        from security.edge.metrics import GIVEN_UP  # noqa: PLC0415 - the first metrics of the process

        self._count_given_up = GIVEN_UP
        self._metrics: Any = None
        self._proxies, self._network_of = TrustedProxies(self.limits.trusted_proxy_hops), network_of
        self._waiting = WaitingClients[Connection](self.max_keepalived, self.limits.per_address)
        self._held_bytes = 0
        self._answered_by_threads: deque[Connection] = deque()
        self._given_up: Counter[str] = Counter()
        self._next_look = 0.0
        allow_open_files(self.worker_connections + OTHER_OPEN_FILES)
        threading.stack_size(THREAD_STACK_BYTES)
        let_threads_use_their_turn()
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})
        gunicorn.http.wsgi.Response = PlainResponse
        same_of_all_requests = gunicorn.http.wsgi.base_environ(self.cfg)
        gunicorn.http.wsgi.base_environ = lambda _: same_of_all_requests.copy()
        super().init_process()

    def load_wsgi(self) -> None:
        """An application that will not start has said why and ends the server: gunicorn would start it again, for ever."""
        # What is loaded stays until the end. Looking for garbage in it was a fifth of loading it.
        gc.disable()
        try:
            super().load_wsgi()
        except SystemExit:
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from None
        gc.freeze()
        gc.enable()
        self._watch_threads()

    def _watch_threads(self) -> None:
        from security.edge.metrics import THREADS_BUSY, THREADS_LIMIT  # noqa: PLC0415
        from security.metrics.exposition import METRICS  # noqa: PLC0415
        from security.metrics.live import Live  # noqa: PLC0415

        self._metrics = getattr(self.wsgi, "extensions", {}).get(METRICS)
        if self._metrics is not None:
            threads: RequestThreads = self.tpool
            self._metrics.watch(Live(THREADS_BUSY, lambda: threads.busy), Live(THREADS_LIMIT, lambda: self.cfg.threads))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Once told to stop, answer who has already connected and refuse who comes later.

        gunicorn only stops listening to its socket: the system goes on taking connections, which hang until the last request
        has ended and are then cut off. A proxy that is refused asks another process at once.
        """
        if enabled:
            for listener in self.sockets:
                if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):  # see web_arbiter.py
                    listener.listen(self.cfg.backlog)
                    self.log.info("Accepting connections at: %s", listener)
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for drain in self._drains():
            drain.drain()
        for listener in self.sockets:
            while self.nr_conns < self.worker_connections and self.accept(listener):
                pass
            listener.close()

    def run(self) -> None:
        """Until what its requests began has ended too, though nobody may be waiting for it."""
        super().run()
        until = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < until and not all(drain.drained() for drain in self._drains()):
            self.notify()
            time.sleep(0.1)

    def _drains(self) -> Sequence[Any]:
        """metering.parts.Drain, for each product that has one."""
        drains: Sequence[Any] = getattr(self.wsgi, "extensions", {}).get("drains", ())
        return drains

    def accept(self, listener: socket.socket) -> bool:
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED}:
                raise
            return False
        self.nr_conns += 1
        conn = Connection(self.cfg, accepted, client, listener.getsockname())
        if not self._proxies.hops:
            conn.sender = self._sender(conn)
        self._wait_for_request(conn)
        return True

    def get_thread_pool(self) -> RequestThreads:
        return RequestThreads(self.cfg.threads, self._application_context)

    def _application_context(self) -> AbstractContextManager[object]:
        """Flask's, entered once by a thread: else it would be made and torn down for each request."""
        context: Callable[[], AbstractContextManager[object]] = getattr(self.wsgi, "app_context", nullcontext)
        return context()

    def enqueue_req(self, conn: Connection) -> None:
        self.tpool.submit(partial(self._serve, conn))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        events = self.poller.select(timeout)
        self._take_back()
        for key, _ in events:
            key.data(key.fileobj)
        self._take_back()

    def _serve(self, conn: Connection) -> None:
        """In a thread. The main loop is woken only for what cannot wait until the client sends again."""
        try:
            conn.keep_alive = bool(self.handle(conn))
        except Exception:
            conn.keep_alive = False
        self._answered_by_threads.append(conn)
        waits = conn.keep_alive and conn.watched and self.alive
        if not waits or conn.early or conn.sock.unsent or conn.parser.unreader.buf.tell():
            self.method_queue.defer(self._take_back)

    def _take_back(self) -> None:
        """The connections that threads have answered, each with its answer as far as the client was slow to take it."""
        while self._answered_by_threads:
            conn = self._answered_by_threads.popleft()
            if conn.sock.ended:
                self._forget(conn)
            elif conn.sock.unsent:
                if self._proxies.hops:
                    conn.sender = self._sender(conn)
                self._wait(conn, self.limits.patience.answer, selectors.EVENT_WRITE, self._send_more)
                self._hold(conn, sum(map(len, conn.sock.unsent)))
            else:
                self._answered(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        if not conn.request.whole:
            self._frame_late_body(req, conn)
        req._expected_100_continue = False  # it was told to go on, or will be
        return super().handle_request(req, conn)

    def _frame_late_body(self, req: Any, conn: Connection) -> None:
        """Until all of it was read, where the next request would begin is unknown."""
        unreader = conn.parser.unreader
        late: LateBody = unreader.late
        closes, req.must_close = req.must_close, True

        def whole() -> None:
            conn.request.whole, req.must_close, unreader.late = True, closes, None

        length = getattr(req.body.reader, "length", None)  # chunks have none
        late.frame(req.body, length=length, expects_continue=req._expected_100_continue, on_whole=whole)
        req.body = late

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """What the application left unread of a whole body is here; without a whole one the next request's start is unknown."""
        try:
            return bool(keepalive and conn.request.whole and conn.parser.finish_body())
        except (errors.ParseException, errors.NoMoreData):
            return False

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """A problem document like every other refusal. gunicorn's own page, and its log line, repeat what was sent."""
        status = next(
            (status for kind, status in UNREADABLE if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request_failed_outside_application", exc_info=exc)
        else:
            self.log.info("request_unreadable", extra={"reason": type(exc).__name__})
        _refuse(client, status)

    def murder_keepalived(self, force: bool = False) -> None:
        """Give up those whose time is over, or all. gunicorn calls it after every turn of the main loop, and once at its end.

        As often the metrics are put down for whichever process is asked for those of all.
        """
        now = time.monotonic()
        if now < self._next_look and not force:
            return
        self._next_look = now + 1
        if self._metrics is not None:
            self._metrics.measure()
        for conn in self._waiting:
            if force:
                self._close(conn)
            elif conn.until <= now:
                self._give_up(conn, HTTPStatus.REQUEST_TIMEOUT)
        if self._given_up:
            most = ", ".join(f"{count} times {what}" for what, count in self._given_up.most_common(5))
            self.log.info("clients_given_up", extra={"reason": most})
            self._given_up.clear()

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self._waiting:
            if conn.keep_alive and not conn.request.received:
                conn.until = min(conn.until, deadline)

    def _wait_for_request(self, conn: Connection) -> None:
        conn.request = ArrivingRequest()
        if self._proxies.hops:
            conn.sender = None
        idle = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        self._wait(conn, idle, selectors.EVENT_READ, self._receive)

    def _answered(self, conn: Connection) -> None:
        if not conn.keep_alive:
            self._wait_for_close(conn)
            return
        begun, conn.early = conn.parser.unreader.take_buffered() + conn.early, b""
        self._wait_for_request(conn)
        if begun:
            self._take(conn, begun)

    def _wait_for_close(self, conn: Connection) -> None:
        """Closing while the client still sends would take the answer from it (RFC 9112, 9.6)."""
        conn.keep_alive = False
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(conn)
        else:
            self._wait(conn, self.limits.patience.close, selectors.EVENT_READ, self._discard)

    def _wait(self, conn: Connection, seconds: float, event: int, then: Callable[[Connection], None]) -> None:
        conn.until = time.monotonic() + seconds
        conn.then = then
        self._watch(conn, event)
        self._waiting.add(conn)
        self._make_room(conn.sender)

    def _watch(self, conn: Connection, event: int) -> None:
        """It stays watched while a thread has its request: to begin and end that costs two system calls each time."""
        if event == conn.watched:
            return
        if not event:
            self.poller.unregister(conn.sock)
        elif conn.watched:
            self.poller.modify(conn.sock, event, partial(self._ready, conn))
        else:
            self.poller.register(conn.sock, event, partial(self._ready, conn))
        conn.watched = event

    def _ready(self, conn: Connection, _: socket.socket) -> None:
        if conn.then is not None:
            conn.then(conn)
            return
        early = b""
        if conn.watched == selectors.EVENT_READ and not conn.early:
            with suppress(OSError):
                early = conn.early = conn.sock.recv(RECEIVED_AT_ONCE, socket.MSG_DONTWAIT)
        if not early:
            self._watch(conn, 0)  # it has to wait, or has ended

    def _make_room(self, sender: str | None) -> None:
        if (longest := self._waiting.one_too_many_of(sender)) is not None:
            self._give_up(longest, HTTPStatus.TOO_MANY_REQUESTS)
        if (longest := self._waiting.one_too_many()) is not None:
            self._give_up(longest, HTTPStatus.SERVICE_UNAVAILABLE)

    def _stop_waiting(self, conn: Connection) -> None:
        conn.then = None
        self._waiting.remove(conn)
        self._held_bytes -= conn.held_bytes
        conn.held_bytes = 0

    def _close(self, conn: Connection) -> None:
        self._stop_waiting(conn)
        self._forget(conn)

    def _forget(self, conn: Connection) -> None:
        self._watch(conn, 0)
        self.nr_conns -= 1
        conn.close()

    def _give_up(self, conn: Connection, status: HTTPStatus) -> None:
        """With an answer to whoever has begun a request."""
        begun = conn.keep_alive and bool(conn.request.received)
        if begun or conn.sock.unsent:
            self._given_up[f"{status.value} for {conn.sender or conn.peer}"] += 1
            self._count_given_up.labels(status.value).inc()
        if begun:
            _refuse(conn.sock, status)
        if begun and status not in ROOM_IS_NEEDED:
            self._stop_waiting(conn)
            self._wait_for_close(conn)
        else:
            self._close(conn)

    def _hold(self, conn: Connection, more: int) -> None:
        conn.held_bytes += more
        self._held_bytes += more
        if self._held_bytes > self.limits.bytes_in_all:
            self._give_up(next(each for each in self._waiting if each.held_bytes), HTTPStatus.SERVICE_UNAVAILABLE)

    def _receive(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECEIVED_AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._close(conn)
            return
        if data:
            self._take(conn, data)
        elif conn.request.has_head:
            self._hand_over(conn)  # The client sends no more, and may read the refusal.
        else:
            self._close(conn)

    def _take(self, conn: Connection, data: bytes) -> None:
        request, patience = conn.request, self.limits.patience
        is_first, had_head = not request.received, request.has_head
        request.add(data)
        if request.ready:
            self._hand_over(conn)
            return
        if request.refusal is not None:
            self._give_up(conn, request.refusal)
            return
        if had_head:
            conn.until += len(data) / patience.bytes_per_second
        elif request.has_head:
            self._begin_body(conn)
        elif is_first:
            conn.until = time.monotonic() + patience.head
        self._hold(conn, len(data))

    def _begin_body(self, conn: Connection) -> None:
        conn.until = time.monotonic() + self.limits.patience.body
        if conn.request.expects_continue:
            with suppress(OSError):
                conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._proxies.hops:
            # Until here a proxy waited for its client: it cannot name the client before it has the whole head.
            self._waiting.remove(conn)
            conn.sender = self._sender(conn)
            self._waiting.add(conn)
            self._make_room(conn.sender)

    def _hand_over(self, conn: Connection) -> None:
        self._stop_waiting(conn)
        if not conn.request.whole:
            self._watch(conn, 0)  # what comes is for its thread to read
            conn.parser.unreader.late = LateBody(conn.sock, self.limits.patience)
        conn.parser.unreader.unread(conn.request.received)
        conn.request.forget_body()
        self.enqueue_req(conn)

    def _send_more(self, conn: Connection) -> None:
        try:
            conn.until += conn.sock.send_more() / self.limits.patience.bytes_per_second
        except OSError:
            self._close(conn)
            return
        if not conn.sock.unsent:
            self._stop_waiting(conn)
            self._answered(conn)

    def _discard(self, conn: Connection) -> None:
        try:
            if conn.sock.recv(RECEIVED_AT_ONCE, socket.MSG_DONTWAIT):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(conn)

    def _sender(self, conn: Connection) -> str:
        forwarded = conn.request.header("x-forwarded-for") if self._proxies.hops else ""
        environ = {"REMOTE_ADDR": conn.peer, "HTTP_X_FORWARDED_FOR": forwarded}
        return self._network_of(self._proxies.client_address(environ))


def _refuse(client: socket.socket, status: HTTPStatus) -> None:
    from security.edge.unread_request import unread_request_answer  # noqa: PLC0415

    with suppress(OSError):
        client.sendall(unread_request_answer(status))


def let_threads_use_their_turn() -> None:
    """A thread that is woken would take the processor from the one that woke it, only to find Python's lock held by that one.
    As batch work it waits (sched(7), SCHED_BATCH).
    """
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):  # where a sandbox forbids it, a request costs a little more
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def allow_open_files(wanted: int) -> None:
    """As far as the system lets us: each connection is one, and a server that runs out of them ends."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
        )


class JsonLines(logging.Formatter):
    """As the lines of the application (security/logs/log.py), whose libraries the master process does not hold."""

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
    """The master's and the workers' own lines."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())
