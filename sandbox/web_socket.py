"""A WebSocket client that does nothing by itself: it reads when it is asked to, and its connection can be cut."""

import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

ANSWER_SECONDS: Final = 20.0
PIECE: Final = 64 * 1024
CUT: Final = struct.pack("ii", 1, 0)
"""Close by a reset, without a word (SO_LINGER)."""
QUIET: Final = logging.getLogger("web_socket")
QUIET.setLevel(logging.ERROR)  # it would log every frame, and so secrets


class WebSocket:
    """Pings are answered while something is received. `receive_buffer`: bytes that the system takes before the server has to wait.
    Raises websockets' InvalidStatus when the upgrade is refused.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        subprotocols: Sequence[str] = (),
        receive_buffer: int | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._frames: deque[str] = deque()
        self._socket = socket.socket()
        try:
            if receive_buffer is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.connect((parts.hostname, parts.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.protocol = ClientProtocol(
                parse_uri(url),
                subprotocols=[Subprotocol(each) for each in subprotocols] or None,
                max_size=None,
                logger=QUIET,
            )
            self._shake_hands(headers)
        except BaseException:
            self._socket.close()
            raise

    def send(self, frame: str | bytes) -> None:
        """Raises ConnectionClosed."""
        if self.protocol.state is not State.OPEN:
            raise self._closed()
        if isinstance(frame, str):
            self.protocol.send_text(frame.encode())
        else:
            self.protocol.send_binary(frame)
        self._flush()

    def send_bytes(self, data: bytes) -> None:
        """As they are, whether or not they are a frame."""
        self._socket.sendall(data)

    def receive(self, seconds: float = ANSWER_SECONDS) -> str:
        """The next text. Raises ConnectionClosed, and TimeoutError when nothing comes."""
        until = time.monotonic() + seconds
        while not self._frames:
            if self.protocol.close_expected() or not self._take(until):
                raise self._closed()
        return self._frames.popleft()

    def closed(self, seconds: float = ANSWER_SECONDS) -> int:
        """The code with which the server closes it, whatever it says before. 1006: without one."""
        until = time.monotonic() + seconds
        while self.protocol.close_rcvd is None and self._take(until):
            pass
        self._socket.close()
        return 1006 if self.protocol.close_rcvd is None else self.protocol.close_rcvd.code

    def cut(self) -> None:
        """As when a network goes away, and the system at the other end learns of it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CUT)
        self._socket.close()

    def close(self) -> None:
        """Also where it is closed already."""
        with suppress(OSError, ConnectionClosed):
            if self.protocol.state is State.OPEN:
                self.protocol.send_close(1000)
                self._flush()
        self._socket.close()

    def _shake_hands(self, headers: Mapping[str, str]) -> None:
        request = self.protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self.protocol.send_request(request)
        self._flush()
        until = time.monotonic() + ANSWER_SECONDS
        while self.protocol.handshake_exc is None and self.protocol.state is State.CONNECTING and self._take(until):
            pass
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc

    def _take(self, until: float) -> bool:
        """What is there, or comes until then. False at the end. Raises TimeoutError."""
        self._socket.settimeout(max(0.001, until - time.monotonic()))
        try:
            data = self._socket.recv(PIECE)
        except ConnectionError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._frames.append(bytes(event.data).decode())
        with suppress(ConnectionClosed):  # nobody is there for the answer to a ping or a close
            self._flush()
        return bool(data)

    def _flush(self) -> None:
        """Raises ConnectionClosed, or TimeoutError when the server takes nothing."""
        for data in self.protocol.data_to_send():
            try:
                if data == SEND_EOF:
                    self._socket.shutdown(socket.SHUT_WR)
                else:
                    self._socket.sendall(data)
            except TimeoutError:
                raise
            except OSError:
                raise self._closed() from None

    def _closed(self) -> ConnectionClosed:
        ended = self.protocol
        return ConnectionClosedError(ended.close_rcvd, ended.close_sent, ended.close_rcvd_then_sent)
