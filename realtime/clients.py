"""All sockets that are used for what one capability offers: metering.sockets.Sockets."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack
from uuid import UUID

import structlog

from auth.principal import Caller
from auth.tiers import Tier
from database.blocking import Blocking
from realtime.caps import Caps, TooManySockets
from realtime.client import Client
from security.edge.request_id import in_this_exchange

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Kind = TypeVar("Kind", bound=Client)


class Clients(Generic[Kind]):
    """`caps` are those of the process; `per_user`: open at once, for a user of that plan."""

    def __init__(self, caps: Caps, per_user: Mapping[Tier, int], threads: Blocking) -> None:
        self._caps, self._per_user, self._threads = caps, per_user, threads
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_id: dict[str, Kind] = {}
        self._by_user: dict[UUID, list[Kind]] = {}

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id_: str) -> Kind | None:
        return self._by_id.get(id_)

    def all(self) -> Sequence[Kind]:
        return [client for client in self if client.admitted is not None]

    def of_user(self, user_id: UUID) -> Sequence[Kind]:
        """Those on which this user signed in."""
        return tuple(self._by_user.get(user_id, ()))

    def in_room(self, user_id: UUID, room: str) -> Sequence[Kind]:
        return [client for client in self._by_user.get(user_id, ()) if client.joined(room)]

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return await self._threads.run(in_this_exchange(work), *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            structlog.get_logger().error("socket_task_failed", exc_info=error)

    def arrived(self, client: Kind) -> None:
        self._caps.take(client.address)
        self._by_id[client.id] = client

    def signed_in(self, client: Kind, caller: Caller) -> None:
        """Raises TooManySockets."""
        own, most = self._by_user.get(caller.user_id, []), self._per_user[caller.tier]
        if len(own) >= most:
            raise TooManySockets(f"Your plan allows {most} sockets at once. Close one first")
        self._by_user[caller.user_id] = [*own, client]

    def ended(self, client: Kind) -> None:
        del self._by_id[client.id]
        self._caps.give_back(client.address)
        if client.admitted is not None:
            user_id = client.caller.user_id
            self._by_user[user_id].remove(client)
            if not self._by_user[user_id]:
                del self._by_user[user_id]
