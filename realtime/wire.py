"""The connection of a WebSocket: that of uvicorn, with what its ASGI has no words for."""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from metering.sockets import nothing
from realtime.closing import LEFT, LOST, MALFORMED, TOO_LARGE, Closing

WIRE: Final = "realtime.wire"
"""The extension of a WebSocket's scope that is its `Wire`."""
BY_PROTOCOL: Final = {1002: MALFORMED, 1007: MALFORMED, 1009: TOO_LARGE}
"""Closed by uvicorn, because what came was no WebSocket, no UTF-8, or too large."""
MOST_UNSENT: Final = 128 * 1024
UVICORN: Final = logging.getLogger("uvicorn.error")


def _is_no_text_of_clients(record: logging.LogRecord) -> bool:
    """uvicorn calls it an error when a client sends what is not UTF-8."""
    return not record.exc_info or record.exc_info[0] is not UnicodeDecodeError


UVICORN.addFilter(_is_no_text_of_clients)


class Wire(WebSocketsSansIOProtocol):
    """`has_room`: called when it is writable again. `gone`: called when it has ended, by whomever."""

    has_room: Callable[[], None] = staticmethod(nothing)
    gone: Callable[[], None] = staticmethod(nothing)
    heard_at = 0.0
    """On the loop's clock."""
    _written = 0

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[WIRE] = self
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn forgets it, and calls an upgrade that was refused an error

    @property
    def is_open(self) -> bool:
        """From the upgrade until one side closes it."""
        return self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    @property
    def is_writable(self) -> bool:
        return self.writable.is_set()

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet, because the client does not take them."""
        return self.transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes of `write` that the system has taken."""
        return self._written - self.unsent

    def limit_unsent(self) -> None:
        """Otherwise megabytes wait in the system for a client that reads slowly, and it says late what was taken."""
        option: Any = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # not everywhere
        if option is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, MOST_UNSENT)

    def write(self, text: bytes) -> None:
        """A frame, at once. Nothing when it is not open."""
        if not self.is_open:
            return
        self.conn.send_text(text)
        frame = b"".join(self.conn.data_to_send())
        self._written += len(frame)
        self.transport.write(frame)

    async def close(self, code: int, reason: str) -> None:
        """After all that was written."""
        with suppress(ClientDisconnected, RuntimeError):  # the client was faster
            await self.send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """Without waiting until the client has read what was sent."""
        self.transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone()

    @property
    def ended_as(self) -> Closing:
        """When it was not us who ended it."""
        sent = self.conn.close_sent
        if sent is not None and sent.code in BY_PROTOCOL:
            return BY_PROTOCOL[sent.code]
        return LOST if self.conn.close_rcvd is None else LEFT

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)

    def handle_ping(self) -> None:
        """For a client that does not read no answers are kept (RFC 6455, 5.5.3: the last ping's is enough)."""
        if self.is_writable:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """To a client that reads slowly the ping comes late. While it sends something it is there, and one that takes nothing is
        closed by watch.py.
        """
        if self.heard_at > self.ping_sent_at or self.unsent:
            self.pong_timer = self.loop.call_later(self.config.ws_ping_timeout or 0, self.keepalive_timeout)
        else:
            super().keepalive_timeout()
