"""Customers who go on using a service while it fails."""

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from http.client import HTTPException
from random import Random

from tests.whole.web_server import Person, Reply, WebServer

LOST = (OSError, HTTPException)
"""What a client sees when the process that it talks to is killed."""


class Refused(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status} {error}")
        self.error = error


class Players(ABC):
    """Those of one product. `over` ends them. `answers`: how often which status and error came."""

    def __init__(self, people: Iterable[Person], over: threading.Event) -> None:
        self.answers: Counter[str] = Counter()
        self.delivered: set[str] = set()
        """Request IDs of what arrived."""
        self.over = over
        self._waiting = iter(people)
        self._lock = threading.Lock()

    @abstractmethod
    def ask(self, server: WebServer, person: Person, chance: Random) -> None:
        """Once. Raises Refused and LOST."""

    def play(self, server: WebServer, chance: Random) -> None:
        """Who has had the failures of the hour gives way to another."""
        person = self._next()
        while not self.over.wait(0.05):
            try:
                self.ask(server, person, chance)
            except LOST:
                self.note("connection lost")
            except Refused as refusal:
                self.note(str(refusal))
                if refusal.error == "too_many_failures":
                    person = self._next()

    def until_answered(self, server: WebServer, person: Person, path: str, body: object, key: str) -> Reply:
        """Asks again with the same key until there is an answer. Raises Refused and LOST when there will be none."""
        while True:
            try:
                reply = server.post(path, body, person.access_token, headers={"Idempotency-Key": key})
            except LOST:
                if self.over.is_set():
                    raise
                self.note("connection lost")
                continue
            if reply.status == 200:
                return reply
            refusal = Refused(reply.status, reply.error)
            if reply.error == "too_many_failures" or self.over.wait(0.1):
                raise refusal
            self.note(str(refusal))

    def note(self, what: str, request_id: str | None = None) -> None:
        with self._lock:
            self.answers[what] += 1
            if request_id is not None:
                self.delivered.add(request_id)

    def _next(self) -> Person:
        with self._lock:
            return next(self._waiting)
