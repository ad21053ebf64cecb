"""Whose socket it is: judged as a request of its owner would be, with nothing but a token and an address."""

from dataclasses import dataclass
from uuid import UUID

from auth.account_state import AccountStates
from auth.api_keys.authenticate import is_api_key
from auth.middleware import SignedIn
from auth.principal import Caller
from database.blocking import Blocking
from security.edge.request_id import in_this_exchange


@dataclass(frozen=True)
class Admitted:
    caller: Caller
    expires_at: int | None
    """When the access token ends, in Unix seconds; API keys say nothing of it."""


class Callers:
    """`guard` refuses impersonation: who looks through somebody else's account opens no socket."""

    def __init__(self, guard: SignedIn, states: AccountStates, threads: Blocking) -> None:
        self._guard, self._states, self._threads = guard, states, threads

    async def admit(self, token: str, address: str) -> Admitted:
        """Counts as a request. Raises the problems of the guard, and PostgreSQL's errors."""
        return await self._threads.run(in_this_exchange(self._admit), token, address)

    async def changed(self, user_id: UUID, version: int) -> None:
        """What is known of this account is older than that: see ACCOUNT_CHANGED."""
        await self._threads.run(in_this_exchange(self._states.changed), user_id, version)

    def _admit(self, token: str, address: str) -> Admitted:
        caller = self._guard.admit_token(token, lambda: address, reads=False)
        return Admitted(caller, None if is_api_key(token) else self._guard.tokens.verify(token).expires_at)
