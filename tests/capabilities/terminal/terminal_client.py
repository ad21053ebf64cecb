"""A client of /ws/terminal: a socket, and what a device keeps of its shells while sockets come and go."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from sandbox.web_socket import ANSWER_SECONDS, WebSocket
from tests.realtime.raw_socket import as_a_proxy

Message = dict[str, Any]
ACKNOWLEDGED_BYTES = 32 * 1024
"""What was read is acknowledged this often."""


class Refused(AssertionError):
    """The server sent an `error` while something else was waited for."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.code: str = message["data"]["code"]
        self.data: dict[str, Any] = message["data"]


@dataclass
class Shell:
    """`output`: every byte that came, each once. `seq` is the server's count of them, with those that were `missed`.

    `unacknowledged`: what was typed and not acknowledged, by its number. `resuming`: what comes before `resumed` comes again after it.
    """

    id: str
    seq: int = 0
    output: bytearray = field(default_factory=bytearray)
    missed: int = 0
    typed: int = 0
    unacknowledged: dict[int, str] = field(default_factory=dict)
    acknowledged: int = 0
    """Of the output."""
    resuming: bool = False

    def take(self, message: Message) -> None:
        if self.resuming:
            return
        sent = message["data"].encode()
        if "\ufffd" not in message["data"]:
            assert message["seq"] == self.seq + len(sent), f"{self.seq}, and {len(sent)} bytes to {message['seq']}"
        self.output += sent
        self.seq = message["seq"]

    def goes_on(self, resumed: Message) -> None:
        told = resumed["data"]
        assert told["from_seq"] == self.seq + told["missed"], (self.seq, told)
        self.seq = self.acknowledged = told["from_seq"]
        self.resuming = False
        self.missed += told["missed"]


class TerminalClient:
    """Reads only while something is waited for. With `auth` the token goes in a message and not in the address.

    `acks` False: one that does not know `ack`. `receive_buffer`: see WebSocket. Raises websockets' InvalidStatus when the upgrade is
    refused.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        auth: str | None = None,
        acks: bool = True,
        address: str | None = None,
        receive_buffer: int | None = None,
        subprotocols: Sequence[str] = (),
        **headers: str,
    ) -> None:
        self.told: list[Message] = []
        """Whatever nobody has waited for yet."""
        self._shells: dict[str, Shell] = {}
        self._acks = acks
        query = "" if token is None else f"?token={token}"
        self.socket = WebSocket(
            f"ws{url.removeprefix('http')}/ws/terminal{query}",
            headers=as_a_proxy(address) | headers,
            subprotocols=subprotocols,
            receive_buffer=receive_buffer,
        )
        if auth is not None:
            self.send("auth", data={"token": auth})
            self.hears("authenticated")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def hears(self, *kinds: str, shell: Shell | None = None, seconds: float = ANSWER_SECONDS) -> Message:
        """The first message of one of these types, of this session. Raises Refused, ConnectionClosed and TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            for message in self.told:
                if shell is not None and message.get("session_id") != shell.id:
                    continue
                if message["type"] in {*kinds, "error"}:
                    self.told.remove(message)
                    if message["type"] not in kinds:
                        raise Refused(message)
                    return message
            self._receive(until - time.monotonic())

    def connect(
        self,
        profile_id: str | None = None,
        *,
        session_id: str | None = None,
        answers: Sequence[str] = (),
        rows: int = 24,
        cols: int = 80,
    ) -> Shell:
        """Accepts whatever host key is unknown, and gives these answers to what is asked."""
        meant = {"session_type": "ssh", "ssh_profile_id": profile_id, "rows": rows, "cols": cols}
        if session_id is None:
            self.send("connect", data=meant)
        else:
            self.send("connect", session_id=session_id)
        left = list(answers)
        while True:
            message = self.hears("connected", "host_key", "prompt")
            at = {name: message[name] for name in ("session_id",) if name in message}
            if message["type"] == "connected":
                shell = Shell(message["session_id"])
                assert message["data"]["seq"] == 0, "output that nobody saw"
                self._shells[shell.id] = shell
                return shell
            if message["type"] == "host_key":
                assert message["data"]["status"] == "unknown", message
                self.send("accept_host_key", **at, data={"fingerprint": message["data"]["fingerprint"]})
            else:
                self.send("answer", **at, data={"text": left.pop(0)})

    def take_over(self, shell: Shell) -> Message:
        """From whatever socket has it. What it answers to `connect`; then the session goes on where this device is."""
        self._shells[shell.id] = shell
        shell.resuming = True
        self.send("connect", session_id=shell.id)
        connected = self.hears("connected", shell=shell)
        self.resume(shell)
        return connected

    def resume(self, shell: Shell) -> Message:
        """What was not acknowledged is typed again. The answer."""
        self._shells[shell.id] = shell
        shell.resuming = True
        self.send("resume", session_id=shell.id, data={"after_seq": shell.seq})
        resumed = self.hears("resumed", shell=shell)
        for number, text in sorted(shell.unacknowledged.items()):
            self._type(shell, number, text)
        return resumed

    def type(self, shell: Shell, text: str) -> None:
        shell.typed += 1
        shell.unacknowledged[shell.typed] = text
        self._type(shell, shell.typed, text)

    def resize(self, shell: Shell, rows: int, cols: int) -> None:
        self.send("resize", session_id=shell.id, data={"rows": rows, "cols": cols})

    def read(self, until: Callable[[], object], *, seconds: float = ANSWER_SECONDS) -> None:
        """Whatever comes, until this is so."""
        end = time.monotonic() + seconds
        while not until():
            self._receive(end - time.monotonic())

    def reads(self, shell: Shell, text: str, *, seconds: float = ANSWER_SECONDS) -> None:
        """Until its output has this."""
        try:
            self.read(lambda: text.encode() in shell.output, seconds=seconds)
        except TimeoutError:
            raise AssertionError(f"{text!r} is not in {bytes(shell.output[-1000:])!r}") from None

    def listen(self, seconds: float) -> None:
        """Read for so long."""
        with suppress(TimeoutError):
            self.read(lambda: False, seconds=seconds)

    def _type(self, shell: Shell, number: int, text: str) -> None:
        self.send("input", session_id=shell.id, data=text, timestamp="2026-11-30T12:00:00Z", input_seq=number)

    def _receive(self, seconds: float) -> None:
        if seconds <= 0:
            raise TimeoutError
        message = json.loads(self.socket.receive(seconds))
        shell = self._shells.get(message.get("session_id", ""))
        if message["type"] == "output":
            assert shell is not None, message
            shell.take(message)
            if self._acks and shell.seq - shell.acknowledged >= ACKNOWLEDGED_BYTES:
                shell.acknowledged = shell.seq
                self.send("ack", session_id=shell.id, data={"seq": shell.seq})
        elif message["type"] == "input_ack":
            assert shell is not None, message
            for number in [each for each in shell.unacknowledged if each <= message["data"]["input_seq"]]:
                del shell.unacknowledged[number]
        else:
            if message["type"] == "resumed" and shell is not None:
                shell.goes_on(message)
            self.told.append(message)
