"""The addresses of the private server's name, found without holding up a call for longer than it has time.

`getaddrinfo` has no deadline: while no name server answers, it waits as long as resolv.conf says, 10 to 30 seconds. So a thread
of its own asks, and a call waits for it only as long as it may.
"""

import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

FRESH_SECONDS = 30.0
RENEWAL_SECONDS = 0.5
"""How long a call waits for a newer answer before it takes the addresses that were known."""

Address = tuple[socket.AddressFamily, Any]
"""Family, and what `connect` takes."""


class Addresses:
    """Of one host and port. One per process; nothing is asked and no thread started before the first `find`."""

    def __init__(self, host: str, port: int, getaddrinfo: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        self.host = host
        self._port = port
        self._getaddrinfo = getaddrinfo
        self._answered = threading.Condition()
        self._known: list[Address] = []
        self._fresh_until = 0.0
        self._asked_at: float | None = None

    def find(self, deadline: float) -> list[Address]:
        """At least one. An answer is kept for 30 seconds, and longer while no name server gives a newer one.

        Raises OSError, TimeoutError among them, when there has never been an answer.
        """
        with self._answered:
            if monotonic() < self._fresh_until:
                return self._known
            if self._asked_at is None:
                threading.Thread(target=self._ask, name="resolve", daemon=True).start()
                self._asked_at = monotonic()
            until = min(deadline, self._asked_at + RENEWAL_SECONDS) if self._known else deadline
            answered = self._answered.wait_for(lambda: self._asked_at is None, max(0, until - monotonic()))
            if self._known:
                return self._known
            raise OSError("the name has no address") if answered else TimeoutError

    def doubt(self) -> None:
        """None of them could be reached, so the name may have moved: ask again before the next connection."""
        with self._answered:
            self._fresh_until = 0.0

    def _ask(self) -> None:
        found: list[Address] = []
        try:
            for family, _, _, _, address in self._getaddrinfo(self.host, self._port, type=socket.SOCK_STREAM):
                found.append((family, address))
        except (OSError, UnicodeError):  # UnicodeError: it is no name by IDNA's rules
            pass
        finally:
            with self._answered:
                if found:
                    self._known, self._fresh_until = found, monotonic() + FRESH_SECONDS
                self._asked_at = None
                self._answered.notify_all()
