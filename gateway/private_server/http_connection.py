"""One HTTP/1.1 connection to the private server, with one deadline over the whole exchange.

`http.client` cannot hold a deadline: its timeout starts anew at every read, so a server that trickles its headers holds
a thread for ever. It also costs three times the processor time per call, most of it in the e-mail header parser. This reader
takes only what RFC 9112 calls well formed, and only bodies whose length is announced.
"""

import re
import select
import socket
import ssl
import struct
from dataclasses import dataclass
from time import monotonic

from gateway.private_server.resolve_name import Address, Addresses

CONNECT_SECONDS = 2.0
LARGEST_HEAD = 16 * 1024
MOST_INTERIM_REPLIES = 4
FIRST_BYTES = 4 * 1024
"""What is set aside while the private server works. Thousands of calls may wait, and most replies are no larger."""
RECEIVE_BYTES = 64 * 1024
KERNEL_LIMIT_SLACK = 0.05

HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\x00]*)?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\x00]*\r\n){0,64})"
)
"""Status line and at most 64 fields (RFC 9112, 4 and 5). Folded lines and spaces before the colon do not match."""
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n\x00]*)?")
LENGTH = re.compile(r"[0-9]{1,12}")


class ConnectionLost(Exception):
    """The connection ended before the reply did. `answered` says whether any byte of a reply had arrived."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__("the connection was closed")
        self.answered = answered


class ReplyNotAcceptable(Exception):
    """What came is no HTTP reply that we take. `reason` is a code for the log and the row."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    """Names in lower case, in the order they came."""
    body: bytes
    reusable: bool
    """Whether the connection may carry another request."""

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found == name), None)


class HttpConnection:
    """An open connection. Every call takes a deadline on the monotonic clock and raises TimeoutError beyond it."""

    __slots__ = ("_answered", "_buffer", "_kernel_limits", "_poll", "_socket", "_tls", "idle_since")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._tls = isinstance(connected, ssl.SSLSocket)
        self._kernel_limits = {socket.SO_SNDTIMEO: 0.0, socket.SO_RCVTIMEO: 0.0}
        if not self._tls:
            connected.settimeout(None)
        self._buffer = bytearray()
        self._answered = False
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self.idle_since = 0.0

    @classmethod
    def open(cls, addresses: Addresses, deadline: float, tls: ssl.SSLContext | None) -> "HttpConnection":
        """Find the name's addresses, try one after the other, shake hands. Raises OSError when nobody answers, TimeoutError
        among them: two seconds for all of it, or less when the deadline is nearer.
        """
        until = min(deadline, monotonic() + CONNECT_SECONDS)
        found = addresses.find(until)
        refusal: OSError = TimeoutError()
        for number, address in enumerate(found):
            try:
                # An address that is silent leaves time for the next one.
                return cls(_connected(address, until, len(found) - number, tls, addresses.host))
            except OSError as error:
                refusal = error
        addresses.doubt()
        raise refusal

    def close(self) -> None:
        self._socket.close()

    def is_quiet(self) -> bool:
        """An idle connection that has something to read was closed by the other side, or holds bytes nobody asked for."""
        return not self._poll.poll(0)

    def exchange(self, request: bytes, deadline: float, largest_body: int) -> Reply:
        """Send one request and read its whole reply. Raises ConnectionLost, ReplyNotAcceptable, TimeoutError."""
        self._buffer.clear()
        self._answered = False
        self._send(request, deadline)
        status, headers, http11 = self._read_head(deadline)
        body = self._read_body(status, headers, deadline, largest_body)
        if self._buffer:
            raise ReplyNotAcceptable("reply_has_trailing_bytes")
        closing = any(name == "connection" and "close" in value.lower() for name, value in headers)
        return Reply(status, headers, body, reusable=http11 and not closing)

    def _read_head(self, deadline: float) -> tuple[int, list[tuple[str, str]], bool]:
        for _ in range(MOST_INTERIM_REPLIES):
            block = self._take_until(b"\r\n\r\n", deadline, LARGEST_HEAD, "reply_head_too_large")
            match = HEAD.fullmatch(block + b"\r\n")
            if match is None:
                raise ReplyNotAcceptable("reply_malformed")
            status = int(match[2])
            if status >= 200:  # RFC 9110, 15.2: interim replies may come unasked and are skipped
                fields = match[3].decode("latin-1").split("\r\n")[:-1]
                headers = []
                for field in fields:
                    name, _, value = field.partition(":")
                    headers.append((name.lower(), value.strip(" \t")))
                return status, headers, match[1] == b"1"
        raise ReplyNotAcceptable("reply_malformed")

    def _read_body(self, status: int, headers: list[tuple[str, str]], deadline: float, largest: int) -> bytes:
        if status in {204, 304}:
            return b""
        lengths = [value for name, value in headers if name == "content-length"]
        codings = [value.lower() for name, value in headers if name == "transfer-encoding"]
        if codings == ["chunked"] and not lengths:
            return self._read_chunks(deadline, largest)
        if codings or len(lengths) != 1 or not LENGTH.fullmatch(lengths[0]):
            # RFC 9112, 6.3: two lengths are how replies are smuggled; none at all hides a cut.
            raise ReplyNotAcceptable("reply_length_unclear")
        length = int(lengths[0])
        if length > largest:
            raise ReplyNotAcceptable("reply_too_large")
        return self._take(length, deadline)

    def _read_chunks(self, deadline: float, largest: int) -> bytes:
        body = bytearray()
        while True:
            match = CHUNK_SIZE.fullmatch(self._take_until(b"\r\n", deadline, 1024, "reply_malformed"))
            if match is None:
                raise ReplyNotAcceptable("reply_malformed")
            size = int(match[1], 16)
            if len(body) + size > largest:
                raise ReplyNotAcceptable("reply_too_large")
            if size == 0:
                break
            body += self._take(size, deadline)
            if self._take(2, deadline) != b"\r\n":
                raise ReplyNotAcceptable("reply_malformed")
        trailers = 0
        while line := self._take_until(b"\r\n", deadline, LARGEST_HEAD, "reply_malformed"):
            trailers += len(line)
            if trailers > LARGEST_HEAD:
                raise ReplyNotAcceptable("reply_malformed")
        return bytes(body)

    # Taking from the front of a bytearray moves its start and copies nothing, so many small pieces cost no more than few.

    def _take_until(self, mark: bytes, deadline: float, most: int, too_long: str) -> bytes:
        """The bytes before `mark`, which is taken away too."""
        searched = 0
        while (end := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > most:
                raise ReplyNotAcceptable(too_long)
            searched = max(0, len(self._buffer) - len(mark) + 1)
            self._buffer += self._receive(FIRST_BYTES, deadline)
        found = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return found

    def _take(self, size: int, deadline: float) -> bytes:
        while (missing := size - len(self._buffer)) > 0:
            self._buffer += self._receive(min(missing, RECEIVE_BYTES), deadline)
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _send(self, request: bytes, deadline: float) -> None:
        left = memoryview(request)
        while left:
            self._limit_wait(socket.SO_SNDTIMEO, deadline)
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                self._kernel_limits[socket.SO_SNDTIMEO] = 0.0
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionLost(answered=False) from error

    def _receive(self, most: int, deadline: float) -> bytes:
        while True:
            self._limit_wait(socket.SO_RCVTIMEO, deadline)
            try:
                received = self._socket.recv(most)
            except BlockingIOError:
                self._kernel_limits[socket.SO_RCVTIMEO] = 0.0
                continue
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionLost(answered=self._answered) from error
            if not received:
                raise ConnectionLost(answered=self._answered)
            self._answered = True
            return received

    def _limit_wait(self, option: int, deadline: float) -> None:
        """Let the next read or write end near the deadline. Raises TimeoutError when that has passed.

        By the kernel's own limit where that is possible: with one of Python's every read and write costs two more system
        calls, each with a turn of the interpreter's lock. The limit is set anew only when it lies too far off; when it
        ends a wait early (BlockingIOError), the caller forgets it and waits again.
        """
        left = _left(deadline)
        if self._tls:
            self._socket.settimeout(left)
        elif not 0 < self._kernel_limits[option] <= left + KERNEL_LIMIT_SLACK:
            seconds = max(left, 0.001)  # 0 would be no limit
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6)))
            self._kernel_limits[option] = seconds


def _connected(address: Address, until: float, shares: int, tls: ssl.SSLContext | None, host: str) -> socket.socket:
    """`shares`: among how many addresses the time that is left is divided. The handshake may use all of it."""
    family, sockaddr = address
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.settimeout(_left(until) / shares)
        connected.connect(sockaddr)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            connected = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            connected.settimeout(_left(until))  # one limit over all reads of `do_handshake`
            connected.do_handshake()
    except BaseException:
        connected.close()
        raise
    return connected


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
