"""Who may use a socket: asked at its beginning, with each new token, every minute, and whenever an account changes."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic
from typing import Any
from uuid import UUID

import structlog

from realtime.callers import Admitted, Callers
from realtime.client import Client
from realtime.clients import Clients
from realtime.closing import REVOKED
from security.edge.error_handlers import problem_of
from security.edge.problems import InvalidToken, NotSignedIn, Problem
from security.edge.request_id import begin_exchange

ENDS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
"""What a client may no longer do. Of everything else the next minute knows more."""


class SignIn:
    def __init__(self, callers: Callers, clients: Clients[Any]) -> None:
        self._callers, self._clients = callers, clients
        self._judging: set[asyncio.Task[None]] = set()
        self._changes = 0
        """How often any account changed."""

    async def first(self, client: Client, token: str) -> None:
        """Raises Problem."""
        changes, admitted = self._changes, await self._ask(token, client.address)
        if client.closing is not None:
            raise NotSignedIn("The socket is closed")
        self._clients.signed_in(client, admitted.caller)
        self._admit(client, token, admitted, changes)
        structlog.get_logger().info("socket_opened", socket=client.id, user_id=client.caller.user_id)

    async def renew(self, client: Client, token: str) -> Admitted:
        """Raises Problem, and then the client goes on with the token that it has."""
        changes, admitted = self._changes, await self._ask(token, client.address)
        if admitted.caller.user_id != client.caller.user_id:
            raise InvalidToken("This token is another account's. Open another socket for it")
        self._admit(client, token, admitted, changes)
        return admitted

    def judge(self, client: Client) -> None:
        """Now, beside everything else. A client that may no longer be here is closed."""
        if client.admitted is not None and client.closing is None:
            client.judged_at = monotonic()
            task = asyncio.get_running_loop().create_task(self._judge(client))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    def judge_all(self) -> None:
        for client in self._clients:
            self.judge(client)

    def account_changed(self, payload: str) -> None:
        """See ACCOUNT_CHANGED."""
        self._changes += 1
        user_id, version = payload.split(" ")
        if clients := self._clients.of_user(UUID(user_id)):
            task = asyncio.get_running_loop().create_task(self._changed(clients, UUID(user_id), int(version)))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    def _admit(self, client: Client, token: str, admitted: Admitted, changes: int) -> None:
        """`changes`: when it was asked for. An account that has changed since was not yet this client's."""
        client.admit(token, admitted)
        if changes != self._changes:
            self.judge(client)

    async def _changed(self, clients: Sequence[Client], user_id: UUID, version: int) -> None:
        await self._callers.changed(user_id, version)
        for client in clients:
            self.judge(client)

    async def _judge(self, client: Client) -> None:
        begin_exchange({})
        token = client.token
        try:
            admitted = await self._ask(token, client.address)
        except Problem as problem:
            if problem.status in ENDS and client.token == token:
                client.end(REVOKED)
        else:
            if client.token == token:
                client.admitted = admitted

    async def _ask(self, token: str, address: str) -> Admitted:
        """Raises Problem."""
        try:
            return await self._callers.admit(token, address)
        except Exception as error:
            raise problem_of(error) from None
