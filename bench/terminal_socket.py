"""One terminal over /ws/terminal, with as little work at the client's end as can be."""

from collections.abc import Callable
from time import perf_counter, sleep
from typing import Any

import orjson

from bench.terminal_programs import BYTE, READY
from sandbox.web_socket import WebSocket

ACKNOWLEDGED = 64 * 1024
START_SECONDS = 20.0


def nothing() -> None:
    pass


class TerminalSocket:
    """A socket with one session, whose shell was told to run this program."""

    def __init__(self, port: int, token: str, profile_id: str, program: str) -> None:
        self._socket = WebSocket(f"ws://127.0.0.1:{port}/ws/terminal?token={token}")
        self._typed = 0
        self.seq = 0
        """Bytes of output so far."""
        self._send({"type": "connect", "data": {"session_type": "ssh", "ssh_profile_id": profile_id}})
        self._session = self._connected()
        self._type(program)
        seen = b""
        while READY not in seen:
            seen += self._output()

    def close(self) -> None:
        """And the session."""
        self._send({"type": "disconnect", "session_id": self._session})
        while self._receive()["type"] != "closed":
            pass
        self._socket.close()

    def echo(self, keys: int, pause: float) -> list[float]:
        """How many milliseconds each took to come back."""
        took = []
        for _ in range(keys):
            sleep(pause)
            began = perf_counter()
            self._type(BYTE.decode())
            self._output()
            took.append((perf_counter() - began) * 1000)
        return took

    def pour(self, size: int, look: Callable[[], None] = nothing) -> float:
        """Seconds until so many bytes were there. `look` is called again and again meanwhile."""
        began, end = perf_counter(), self.seq + size
        acknowledged = self.seq
        self._type(f"{size}\n")
        while self.seq < end:
            self._output()
            if self.seq - acknowledged >= ACKNOWLEDGED:
                acknowledged = self.seq
                self._send({"type": "ack", "session_id": self._session, "data": {"seq": self.seq}})
                look()
        return perf_counter() - began

    def _connected(self) -> str:
        """The session's id."""
        while True:
            message = self._receive()
            if message["type"] == "connected":
                return str(message["session_id"])
            if message["type"] != "host_key":
                raise RuntimeError(f"connecting was answered with {message}")
            accepted = {"fingerprint": message["data"]["fingerprint"]}
            self._send({"type": "accept_host_key", "session_id": message["session_id"], "data": accepted})

    def _type(self, text: str) -> None:
        self._typed += 1
        self._send({"type": "input", "session_id": self._session, "data": text, "input_seq": self._typed})

    def _output(self) -> bytes:
        while (message := self._receive())["type"] != "output":
            if message["type"] != "input_ack":
                raise RuntimeError(f"instead of output: {message}")
        self.seq = message["seq"]
        sent: str = message["data"]
        return sent.encode()

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.send(orjson.dumps(message).decode())

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(self._socket.receive(START_SECONDS))
        return message
