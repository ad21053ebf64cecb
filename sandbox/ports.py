"""Ports for programs that can neither be handed a socket nor tell which port they took."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.cannot_start import CannotStart

IN_USE = b"Address already in use"


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
