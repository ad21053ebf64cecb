"""A client of Socket.IO that sends what a test says, frame by frame."""

import json
import logging
import socket
import time
from contextlib import suppress
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.whole.new_address import new_address

ANSWER_SECONDS = 10.0
QUIET = logging.getLogger("raw_socket")
QUIET.setLevel(logging.ERROR)  # it would log every frame, and so tokens


def as_a_proxy(address: str | None = None) -> dict[str, str]:
    """The headers of a proxy in front, for a client at this address or at one that nobody else has."""
    return {"X-Forwarded-For": address or new_address(), "X-Forwarded-Proto": "https"}


class RawSocket:
    """Over WebSocket. Pings are answered while something is waited for."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        address: str | None = None,
        through: socket.socket | None = None,
        **headers: str,
    ) -> None:
        """With a token it signs in. `through`: a connection to a proxy, which says itself whose it is. Raises websockets'
        InvalidStatus when the upgrade is refused.
        """
        self.events: list[list[Any]] = []
        self._connecting = connect(
            f"ws{url.removeprefix('http')}/socket.io/?EIO=4&transport=websocket",
            additional_headers=(as_a_proxy(address) if through is None else {}) | headers,
            sock=through,
            compression=None,
            max_size=None,
            open_timeout=ANSWER_SECONDS,
            logger=QUIET,
        )
        self.connection = self._connecting.__enter__()
        self._numbers = 0
        assert self._frame().startswith("0{")
        self.refusal: Any = None
        if token is not None:
            self.sign_in(token)
            assert self.refusal is None, self.refusal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def sign_in(self, token: object) -> None:
        """Afterwards `refusal` says why not."""
        self.send(f"40{json.dumps({'token': token})}")
        frame = self._frame()
        self.refusal = json.loads(frame[2:]) if frame.startswith("44") else None
        assert frame[:2] in {"40", "44"}, frame

    def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            self.connection.send(frame)

    def ask(self, name: str, *arguments: Any) -> Any:
        """The acknowledgement."""
        self._numbers += 1
        number = self._numbers
        sent = [each for each in arguments if isinstance(each, bytes)]
        shown = [{"_placeholder": True, "num": 0} if isinstance(each, bytes) else each for each in arguments]
        kind = f"45{len(sent)}-" if sent else "42"
        self.send(f"{kind}{number}{json.dumps([name, *shown])}", *sent)
        while True:
            frame = self._frame()
            if frame.startswith("43"):
                text = frame[2:].lstrip("0123456789")
                assert frame[2 : len(frame) - len(text)] == str(number)
                return json.loads(text)[0]
            self._keep(frame)

    def heard(self, name: str) -> list[Any]:
        """The arguments of the next event of this name."""
        while True:
            for event in self.events:
                if event[0] == name:
                    self.events.remove(event)
                    return event[1:]
            self._keep(self._frame())

    def closed(self, within: float = ANSWER_SECONDS) -> int:
        """The code with which it is closed, whatever comes before."""
        until = time.monotonic() + within
        with suppress(ConnectionClosed):
            while True:
                frame = self.connection.recv(max(0.0, until - time.monotonic()))
                if isinstance(frame, str):
                    self._keep(frame)
        received = self.connection.protocol.close_rcvd
        return 1006 if received is None else received.code

    def _frame(self) -> str:
        """The next one that is text and no ping."""
        while True:
            frame = self.connection.recv(ANSWER_SECONDS)
            if frame == "2":
                self.send("3")
            elif isinstance(frame, str):
                return frame

    def _keep(self, frame: str) -> None:
        if frame.startswith("42"):
            self.events.append(json.loads(frame[2:]))
        elif frame.startswith("45"):
            self.events.append(json.loads(frame[2:].partition("-")[2]))
        elif frame == "41":
            self.events.append(["disconnect"])
        elif frame == "2":
            self.send("3")
