"""Guards of routes: who may pass. Each turns the request's credential into a Principal or raises a Problem."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NoReturn
from uuid import UUID

from flask import Response, after_this_request, request

from auth.account_state import AccountState, AccountStates
from auth.api_keys.authenticate import API_KEY_PROBLEMS, Address, ApiKeys, InsufficientScope, is_api_key
from auth.bounded_cache import BoundedCache
from auth.impersonation.state import read_impersonated
from auth.minute_limits import RATE_LIMIT_HEADERS, RateLimited, Standing, standing_headers
from auth.principal import Caller, KeyPrincipal, Principal, Role
from auth.problems import EmailNotVerified
from auth.tiers import Tier
from auth.tokens.access_token import AccessClaims, AccessTokens
from database.base import Clock
from database.redis.server import RedisServer
from security.edge.client_address import client_address
from security.edge.problems import DependencyUnavailable, InvalidToken, NotSignedIn, Problem, Unauthorized

BEARER = "bearer"
API_KEY = "apiKey"
FRESH_SECONDS = 300
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def bearer_token() -> str | None:
    """The credential of `Authorization: Bearer …` (RFC 6750, 2.1); None when the header is absent or of another scheme.

    Raises InvalidToken when the header names the scheme and holds anything but one token.
    """
    header: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != BEARER:
        return None
    token = token.strip(" ")
    if not token or " " in token or "," in token:
        raise InvalidToken
    return token


def no_token() -> NoReturn:
    """Raises NotSignedIn, which says so when there is a credential, of another scheme."""
    if "HTTP_AUTHORIZATION" in request.environ:
        raise NotSignedIn("Send the access token as `Authorization: Bearer …`")
    raise NotSignedIn


class ImpersonationReadOnly(Problem):
    """Who looks through somebody else's account changes nothing there, and does not see what is the owner's alone."""

    status, error, title = 403, "impersonation_read_only", "You can only view this account while impersonating it"


class InsufficientRole(Problem):
    status, error, title = 403, "insufficient_role", "Your role does not allow this"


class StepUpRequired(Unauthorized):
    """The caller is signed in, but for this the proof must be fresh (RFC 9470, 3)."""

    error, title = "insufficient_user_authentication", "Sign in again to do this"
    challenge = f'Bearer realm="mirroros", error="insufficient_user_authentication", max_age={FRESH_SECONDS}'

    def __init__(self) -> None:
        super().__init__(
            f"You must have signed in within the last {FRESH_SECONDS // 60} minutes. Use POST /api/auth/reauthenticate or sign in"
            " again"
        )


SIGNED_IN_PROBLEMS: tuple[type[Problem], ...] = (
    NotSignedIn,
    InvalidToken,
    ImpersonationReadOnly,
    *API_KEY_PROBLEMS,
    RateLimited,
    DependencyUnavailable,
)


@dataclass(frozen=True)
class SignedIn:
    """Asks for the account's state on every request, so that what was revoked stops within one request.

    `as_oneself`: for what even a member of the staff must not read in the owner's place: exports, keys, invoices. `fresh`: for
    what a stolen session must not do: the caller proved who it is, as itself, within the last five minutes. `role`: the
    caller's must include it; it is the account's now, never the token's. `scope`: an API key that has it may call too. `metered`:
    the address must be confirmed, where the operator asks for that. `account_call`: for the routes under `/api/auth`, which have a
    limit of their own beside the general one. `page`: the token of that product's page may call too, also where no API key may.
    """

    tokens: AccessTokens
    states: AccountStates
    keys: ApiKeys
    clock: Clock
    account_call: bool = False
    as_oneself: bool = False
    fresh: bool = False
    role: Role | None = None
    scope: str | None = None
    metered: bool = False
    page: str | None = None

    @property
    def scheme(self) -> str | tuple[str, ...]:
        return BEARER if self.scope is None else (BEARER, API_KEY)

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        fresh, role = (StepUpRequired,) if self.fresh else (), (InsufficientRole,) if self.role else ()
        unverified = (EmailNotVerified,) if self.metered and self.states.require_verification else ()
        return (*SIGNED_IN_PROBLEMS, *fresh, *role, *unverified)

    @property
    def answer_headers(self) -> Mapping[str, str]:
        return RATE_LIMIT_HEADERS

    def admit(self) -> Caller:
        """The answer tells what is left of the limits."""
        token = bearer_token() or no_token()
        caller, standings = self._admit(token, client_address, reads=request.method in SAFE_METHODS)
        if standings:
            after_this_request(partial(_tell, standings))
        return caller

    def admit_token(self, token: str, address: Address, *, reads: bool) -> Caller:
        """The same for a token that came by another way than a request, from that address. `reads`: nothing is changed by it."""
        return self._admit(token, address, reads=reads)[0]

    def _admit(self, token: str, address: Address, *, reads: bool) -> tuple[Caller, tuple[Standing, ...]]:
        if self.scope is not None and is_api_key(token):
            key = self.keys.admit(token, self.scope, address)
            state = self._confirmed(self.states.of_key(key.user_id, key.id))
            self.keys.note_use(key, address)
            caller = KeyPrincipal(key.user_id, key.id, state.tier_at(self.clock()), state.cached, fresh=True)
            return caller, state.standings
        claims = self._claims_of(token, address, reads=reads)
        if claims.actor_id is not None and (self.as_oneself or self.fresh):
            raise ImpersonationReadOnly
        principal, standings = self._principal(claims)
        if self.role is not None and not principal.role.includes(self.role):
            raise InsufficientRole  # first: nobody should prove who they are to hear that it is not enough
        if self.fresh and self.clock().timestamp() - claims.auth_time > FRESH_SECONDS:
            raise StepUpRequired
        return principal, standings

    def claims_of(self, token: str | None) -> AccessClaims:
        """Raises NotSignedIn, InvalidToken, and for an API key what `ApiKeys.refuse` says.

        Every guard reads its token here, so that no impersonation changes anything by any of them (ImpersonationReadOnly), and the
        token of a page opens nothing but what that page is for (InsufficientScope).
        """
        return self._claims_of(token or no_token(), client_address, reads=request.method in SAFE_METHODS)

    def _claims_of(self, token: str, address: Address, *, reads: bool) -> AccessClaims:
        if is_api_key(token):
            self.keys.refuse(token, address)
        claims = self.tokens.verify(token)
        if claims.scope is not None and claims.scope not in (self.scope, self.page):
            raise InsufficientScope(self.scope, "This access token is only for the page that it was given to")
        if claims.actor_id is not None and not reads:
            raise ImpersonationReadOnly
        return claims

    def _principal(self, claims: AccessClaims) -> tuple[Principal, tuple[Standing, ...]]:
        user_id, session_id = claims.user_id, claims.session_id
        if claims.actor_id is not None:
            principal = read_impersonated(session_id, user_id, claims.actor_id, self.clock())
            if principal is None:
                raise InvalidToken
            return principal, ()
        state = self._confirmed(self.states.of_session(user_id, session_id, account_call=self.account_call))
        tier = state.tier_at(self.clock())
        return Principal(user_id, session_id, tier, state.cached, state.role, fresh=True), state.standings

    def _confirmed(self, state: AccountState) -> AccountState:
        """Raises EmailNotVerified."""
        if self.metered and state.unverified:
            raise EmailNotVerified
        return state


def _tell(standings: tuple[Standing, ...], response: Response) -> Response:
    """A metered answer tells of the limits of its feature, which are nearer."""
    if "RateLimit" not in response.headers:
        response.headers.update(standing_headers(standings))
    return response


@dataclass(frozen=True, slots=True)
class _Remembered:
    """The last known state of one session or key, with the caller of either tier."""

    tier_expires_at: datetime | None
    ends_at: datetime | None
    caller: Caller
    after_expiry: Caller


KnownCallers = BoundedCache[UUID, _Remembered]
"""By session or key, whatever the scope: all guards of metered calls share it."""


@dataclass(frozen=True)
class SignedInMetered:
    """For metered calls: no Redis trip of its own. Takes API keys with the scope too.

    A known caller is admitted on the state that this process saw last. `cached` of the caller says what that was, and the
    script that reserves the call compares it in Redis in its own round trip, and counts the request against the general limit.
    When the state differs or the limit is reached, the gateway calls `renew`.
    A route that reserves nothing must use SignedIn.
    """

    signed_in: SignedIn
    states: AccountStates
    keys: ApiKeys
    scope: str
    redis: RedisServer
    clock: Clock
    remembered: KnownCallers
    scheme: tuple[str, ...] = (BEARER, API_KEY)

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        return (*SIGNED_IN_PROBLEMS, EmailNotVerified) if self.states.require_verification else SIGNED_IN_PROBLEMS

    def admit(self) -> Caller:
        token = bearer_token()
        if token is not None and is_api_key(token):
            key = self.keys.admit(token, self.scope, client_address)
            caller = self._recall(key.id, key.user_id) or self._ask_of_key(key.user_id, key.id)
            self.keys.note_use(key, client_address)
            return caller
        claims = self.signed_in.claims_of(token)
        return self._recall(claims.session_id, claims.user_id) or self._ask(claims.user_id, claims.session_id)

    def renew(self, caller: Caller) -> Caller:
        """Forget what is known of this caller and ask again. Raises InvalidToken or EmailNotVerified when it may no longer pass."""
        if isinstance(caller, Principal):
            self.remembered.forget(caller.session_id)
            return self._ask(caller.user_id, caller.session_id)
        self.remembered.forget(caller.key_id)
        return self._ask_of_key(caller.user_id, caller.key_id)

    def _recall(self, credential_id: UUID, user_id: UUID) -> Caller | None:
        """The caller as this process knows it; None when it must ask. Raises RateLimited."""
        known = self.remembered.get(credential_id)
        if known is None or known.caller.user_id != user_id:
            return None
        if self.redis.client() is None:
            return None
        self.states.general.refuse_known(user_id)
        if known.tier_expires_at is None and known.ends_at is None:
            return known.caller
        now = self.clock()
        if known.ends_at is not None and now >= known.ends_at:
            return None
        return known.caller if known.tier_expires_at is None or now < known.tier_expires_at else known.after_expiry

    def _ask(self, user_id: UUID, session_id: UUID) -> Caller:
        state = self.states.of_session(user_id, session_id)
        return self._remember(session_id, state, Principal(user_id, session_id, state.tier, state.cached, state.role))

    def _ask_of_key(self, user_id: UUID, key_id: UUID) -> Caller:
        state = self.states.of_key(user_id, key_id)
        return self._remember(key_id, state, KeyPrincipal(user_id, key_id, state.tier, state.cached))

    def _remember(self, credential_id: UUID, state: AccountState, caller: Caller) -> Caller:
        """`caller`: with the tier that it has until that ends. Raises EmailNotVerified, and then remembers nothing."""
        if state.unverified:
            raise EmailNotVerified
        if state.cached is not None:
            known = _Remembered(
                tier_expires_at=state.tier_expires_at,
                ends_at=state.ends_at,
                caller=self._counted_later(caller),
                after_expiry=self._counted_later(replace(caller, tier=Tier.FREE)),
            )
            self.remembered.put(credential_id, known)
        return replace(caller, tier=state.tier_at(self.clock()), fresh=True)

    def _counted_later(self, caller: Caller) -> Caller:
        """Its further requests are counted by the script that checks its state."""
        if caller.cached is None or not self.states.general.is_on:
            return caller
        requests = partial(self.states.general.count_elsewhere, caller.user_id, caller.tier)
        return replace(caller, cached=replace(caller.cached, requests=requests))
