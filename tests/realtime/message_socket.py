"""A client of a WebSocket of a path, by a library that is not ours."""

import json
import socket
import time
from contextlib import suppress
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.realtime.raw_socket import ANSWER_SECONDS, QUIET, as_a_proxy
from tests.realtime.toy_messages import PATH


class MessageSocket:
    """Raises websockets' InvalidStatus when the upgrade is refused. `token`: in the address. `through`: see RawSocket."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        query: str | None = None,
        address: str | None = None,
        subprotocols: list[str] | None = None,
        through: socket.socket | None = None,
        origin: str | None = None,
        cookie: str | None = None,
    ) -> None:
        query = query or ("" if token is None else f"?token={token}")
        headers = {name: value for name, value in (("Origin", origin), ("Cookie", cookie)) if value is not None}
        self._connecting = connect(
            f"ws{url.removeprefix('http')}{PATH}{query}",
            additional_headers=(as_a_proxy(address) if through is None else {}) | headers,
            sock=through,
            subprotocols=None if subprotocols is None else [Subprotocol(each) for each in subprotocols],
            compression=None,
            max_size=None,
            open_timeout=ANSWER_SECONDS,
            close_timeout=1,
            ping_interval=None,
            logger=QUIET,
        )
        self.connection = self._connecting.__enter__()
        self.heard_before: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def say(self, type_: str, **members: object) -> None:
        self.connection.send(json.dumps({"type": type_, **members}))

    def ask(self, said: str, told: str, **members: object) -> Any:
        """The members of the next message of the type `told`, beside its type."""
        self.say(said, **members)
        return self.heard(told)

    def sign_in(self, token: object) -> Any:
        return self.ask("auth", "authenticated", data={"token": token})["data"]

    def heard(self, type_: str) -> Any:
        while True:
            for message in self.heard_before:
                if message["type"] == type_:
                    self.heard_before.remove(message)
                    return {name: value for name, value in message.items() if name != "type"}
            self.heard_before.append(json.loads(self.connection.recv(ANSWER_SECONDS)))

    def closed(self, within: float = ANSWER_SECONDS) -> int:
        """The code with which it is closed, whatever comes before."""
        until = time.monotonic() + within
        with suppress(ConnectionClosed):
            while True:
                self.heard_before.append(json.loads(self.connection.recv(max(0.0, until - time.monotonic()))))
        received = self.connection.protocol.close_rcvd
        return 1006 if received is None else received.code

    @property
    def close_reason(self) -> str:
        received = self.connection.protocol.close_rcvd
        return "" if received is None else received.reason
