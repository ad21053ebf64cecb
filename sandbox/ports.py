"""Ports for programs that can neither be handed a socket nor tell which port they took."""

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sandbox.cannot_start import CannotStart

IN_USE = b"Address already in use"
NOT_FOR_CLIENTS = (10_000, 32_768)
"""Linux gives clients ports from 32,768 on (ip(7)), others from 49,152 (RFC 6335)."""


def free_port() -> int:
    """A loopback port that nobody listens on at this moment, and that no system gives to clients. A client that tries again and again
    to reach a server that is down may otherwise get its port, be connected with itself, and keep it from the server.
    """
    while True:
        port = random.randrange(*NOT_FOR_CLIENTS)  # noqa: S311 - no secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Of loopback ports, at this moment."""
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def start_on_a_port(start: Callable[[int], None], log_file: Path, *, again_on: int, within_seconds: float) -> None:
    """Start a server on the port `again_on`, that of its last start, or on any free one when that is 0.

    Another program may take the port before the server does. Its log says so, and it is started once more.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        log_file.touch()
        logged = log_file.stat().st_size
        try:
            start(again_on or free_port())
        except CannotStart:
            if IN_USE not in log_file.read_bytes()[logged:] or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
