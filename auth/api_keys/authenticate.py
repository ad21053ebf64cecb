"""Authenticating API keys. What a key may do is looked at here; whether it still lives is part of its user's state."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NoReturn
from uuid import UUID

from limits import RateLimitItem
from sqlalchemy import select

from auth.account_state import AccountStates
from auth.api_keys.last_used import KeyUses
from auth.api_keys.token import PREFIX, is_well_formed
from auth.bounded_cache import BoundedCache
from auth.models import ApiKey
from auth.rate_limits.by_address import AddressLimits
from auth.scopes import ACCOUNT
from auth.tokens.opaque import token_hash
from database import reading
from database.base import Clock
from security.edge.problems import InvalidToken, Problem, TooManyRequests
from security.logs.log import security_event

WRONG_KEYS = "wrong_api_keys"

Network = IPv4Network | IPv6Network
Address = Callable[[], str]
"""Where a key comes from, canonical. It is seldom asked for."""


class InsufficientScope(Problem):
    """The API key, or the access token of a page, is good, but not for this (RFC 6750, 3.1)."""

    status, error, title = 403, "insufficient_scope", "This API key does not have the required scope"

    def __init__(self, needed: str | None, detail: str | None = None) -> None:
        scope = ACCOUNT if needed is None else needed
        challenge = f'Bearer realm="mirroros", error="insufficient_scope", scope="{scope}"'
        of_a_key = (
            "This endpoint does not accept API keys. Sign in and send an access token"
            if needed is None
            else f"This API key does not have the scope `{scope}`"
        )
        super().__init__(detail or of_a_key, headers={"WWW-Authenticate": challenge})


class NetworkNotAllowed(Problem):
    status, error, title = 403, "network_not_allowed", "This API key cannot be used from your network address"


API_KEY_PROBLEMS: tuple[type[Problem], ...] = (InsufficientScope, NetworkNotAllowed, TooManyRequests)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What never changes of one key, so that a process may remember it."""

    id: UUID
    user_id: UUID
    scopes: frozenset[str]
    networks: tuple[Network, ...]


def is_api_key(token: str) -> bool:
    """Tells API keys from access tokens, which begin with `eyJ`."""
    return token.startswith(PREFIX)


class ApiKeys:
    """The keys that were shown to this process are remembered by their hash; the others are looked up in PostgreSQL."""

    def __init__(
        self,
        states: AccountStates,
        address_limits: AddressLimits,
        wrong_keys: RateLimitItem,
        scopes: frozenset[str],
        clock: Clock,
        *,
        remembered: int = 8192,
    ) -> None:
        self._states = states
        self._address_limits = address_limits
        self._wrong_keys = wrong_keys
        self._scopes = scopes
        self._uses = KeyUses(clock)
        self._known: BoundedCache[bytes, KnownKey] = BoundedCache(remembered)

    def admit(self, token: str, scope: str, address: Address) -> KnownKey:
        """The key of that token, when it has the scope and comes from one of its networks.

        The caller asks whether it lives. Raises InvalidToken, TooManyRequests, InsufficientScope, NetworkNotAllowed.
        """
        key = self._find(token, address)
        refusal = self._refusal(key, scope, address)
        if refusal is not None:
            self._refuse(key, refusal)
        return key

    def refuse(self, token: str, address: Address) -> NoReturn:
        """For routes that need somebody who signed in. Raises as `admit`; InsufficientScope when the key is good."""
        key = self._find(token, address)
        self._refuse(key, self._refusal(key, None, address) or InsufficientScope(None))

    def note_use(self, key: KnownKey, address: Address) -> None:
        self._uses.note(key.id, address())

    def _refusal(self, key: KnownKey, scope: str | None, address: Address) -> Problem | None:
        if key.networks:
            sender = ip_address(address())
            if not any(sender in network for network in key.networks):
                return NetworkNotAllowed()
        return None if scope in key.scopes else InsufficientScope(scope)

    def _refuse(self, key: KnownKey, refusal: Problem) -> NoReturn:
        """A key that has ended hears nothing but that. Of one that lives, operators are told: it may have been copied."""
        self._states.of_key(key.user_id, key.id)
        security_event("api_key_refused", user_id=key.user_id, key_id=key.id, reason=refusal.error)
        raise refusal

    def _find(self, token: str, address: Address) -> KnownKey:
        """Only guesses are counted, and only an address that makes many is kept from PostgreSQL; known keys go on working.

        Raises InvalidToken, TooManyRequests.
        """
        key_hash = token_hash(token)
        known = self._known.get(key_hash)
        if known is None:
            if not is_well_formed(token):
                self._wrong(address)
            self._address_limits.check(self._wrong_keys, WRONG_KEYS, address())
            known = self._look_up(key_hash)
            if known is None:
                self._wrong(address)
            self._known.put(key_hash, known)
        return known

    def _look_up(self, key_hash: bytes) -> KnownKey | None:
        """Scopes of capabilities that are off are left out."""
        query = select(ApiKey.id, ApiKey.user_id, ApiKey.scopes, ApiKey.allowed_networks)
        with reading() as session:
            row = session.execute(query.where(ApiKey.token_hash == key_hash)).one_or_none()
        if row is None:
            return None
        networks = tuple(ip_network(network) for network in row.allowed_networks)
        return KnownKey(row.id, row.user_id, self._scopes.intersection(row.scopes), networks)

    def _wrong(self, address: Address) -> NoReturn:
        self._address_limits.count(self._wrong_keys, WRONG_KEYS, address())
        raise InvalidToken
