"""All sockets of this process: metering.sockets.Sockets."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from auth.principal import Caller
from realtime.caps import Caps
from realtime.client import Client


class Clients:
    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._by_id: dict[str, Client] = {}
        self._by_user: dict[UUID, list[Client]] = {}

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id_: str) -> Client | None:
        return self._by_id.get(id_)

    def of_user(self, user_id: UUID) -> Sequence[Client]:
        """Those on which this user signed in."""
        return tuple(self._by_user.get(user_id, ()))

    def in_room(self, user_id: UUID, room: str) -> Sequence[Client]:
        return [client for client in self._by_user.get(user_id, ()) if client.joined(room)]

    def arrived(self, client: Client) -> None:
        self._caps.take(client.address)
        self._by_id[client.id] = client

    def signed_in(self, client: Client, caller: Caller) -> None:
        """Raises TooManySockets."""
        own = self._by_user.get(caller.user_id, [])
        self._caps.check_user(caller.tier, len(own))
        self._by_user[caller.user_id] = [*own, client]

    def ended(self, client: Client) -> None:
        del self._by_id[client.id]
        self._caps.give_back(client.address)
        if client.admitted is not None:
            user_id = client.caller.user_id
            self._by_user[user_id].remove(client)
            if not self._by_user[user_id]:
                del self._by_user[user_id]
