"""How many requests of an operation a process works on at once."""

from threading import Condition
from typing import Any

from security.edge.late_body import LateBody
from security.edge.problems import TooBusy


class Slots:
    """For `operation(within=...)`, several of which may share one. A slot is taken after the guard admitted the caller and
    before the body is read, and given back when the answer has been made; of one that is streamed, when it begins.

    So `most` times the largest body is what the bodies take of memory, and at most twice `most` threads are in it: those that
    hold a slot, and as many that wait `seconds` for one. Whoever cannot have one gets 503 `too_busy`.

    When none is free, the upload that has been read for longest gives way, if it takes more than `seconds`. So nobody keeps
    others out by sending slowly.
    """

    def __init__(self, most: int, seconds: float = 2) -> None:
        self._most = most
        self._seconds = seconds
        self._held: dict[Any, None] = {}
        """The requests' bodies, in the order in which they came."""
        self._waiting = 0
        self._given_back = Condition()

    @property
    def taken(self) -> int:
        return len(self._held)

    def take(self, body: Any) -> None:
        """`body`: the request's `wsgi.input`. Raises TooBusy."""
        with self._given_back:
            if not self._has_room():
                self._wait()
            self._held[body] = None
        if isinstance(body, LateBody):
            body.begin()

    def give_back(self, body: Any) -> None:
        with self._given_back:
            del self._held[body]
            self._given_back.notify()

    def _has_room(self) -> bool:
        return len(self._held) < self._most

    def _wait(self) -> None:
        if self._waiting >= self._most:
            raise TooBusy
        self._waiting += 1
        try:
            any(isinstance(body, LateBody) and body.give_way(self._seconds) for body in self._held)
            if not self._given_back.wait_for(self._has_room, self._seconds):
                raise TooBusy
        finally:
            self._waiting -= 1
