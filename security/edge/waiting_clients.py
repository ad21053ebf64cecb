"""Clients that the web server waits for: those that wait longest give way when there are too many."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class WaitingClient(Protocol):
    """`sender`: the address that it counts for; None for one that counts for none. It stays the same while it waits."""

    sender: str | None


Client = TypeVar("Client", bound=WaitingClient)


class WaitingClients(Generic[Client]):
    """In the order in which they began to wait.

    `most_of_one` of one address may wait, and `most` in all. Nobody is turned away: an attacker's connections wait for long
    and an honest client's shortly, so the one that waits longest is given up.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._all: dict[Client, None] = {}
        self._by_sender: dict[str, dict[Client, None]] = {}

    def __contains__(self, client: Client) -> bool:
        return client in self._all

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._all))

    def add(self, client: Client) -> None:
        self._all[client] = None
        if client.sender is not None:
            self._by_sender.setdefault(client.sender, {})[client] = None

    def remove(self, client: Client) -> None:
        del self._all[client]
        if client.sender is not None:
            others = self._by_sender[client.sender]
            del others[client]
            if not others:
                del self._by_sender[client.sender]

    def one_too_many_of(self, sender: str | None) -> Client | None:
        if sender is None or len(others := self._by_sender[sender]) <= self._most_of_one:
            return None
        return next(iter(others))

    def one_too_many(self) -> Client | None:
        return None if len(self._all) <= self._most else next(iter(self._all))
