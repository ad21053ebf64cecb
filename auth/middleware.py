"""Guards of routes: who may pass. Each turns the request's credential into a Principal or raises a Problem."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import request

from auth.access_token import AccessClaims, AccessTokens
from auth.account_state import AccountState, AccountStates
from auth.bounded_cache import BoundedCache
from auth.impersonated_state import read_impersonated
from auth.principal import Principal
from auth.roles import Role
from auth.tiers import Tier
from database.base import Clock
from database.redis_lease import RedisLeases
from security.operation import Guard
from security.problems import DependencyUnavailable, InvalidToken, NotSignedIn, Problem

BEARER = "bearer"
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


class ImpersonationReadOnly(Problem):
    """Who looks through somebody else's account changes nothing there, and does not see what is the owner's alone."""

    status, error, title = 403, "impersonation_read_only", "An impersonation only reads"


class InsufficientRole(Problem):
    status, error, title = 403, "insufficient_role", "Your role does not allow this"


class SignedIn:
    """Asks for the account's state on every request, so that what was revoked stops within one request."""

    scheme: str | None = BEARER
    problems: tuple[type[Problem], ...] = (NotSignedIn, InvalidToken, ImpersonationReadOnly, DependencyUnavailable)

    def __init__(self, tokens: AccessTokens, states: AccountStates, clock: Clock) -> None:
        self._tokens = tokens
        self._states = states
        self._clock = clock

    def admit(self) -> Principal:
        return self.principal(self.claims())

    def claims(self) -> AccessClaims:
        """What the request's token says. Raises NotSignedIn, InvalidToken.

        Every guard reads its token here, so that no impersonation changes anything by any of them: ImpersonationReadOnly.
        """
        token = bearer_token()
        if token is None:
            raise NotSignedIn
        claims = self._tokens.verify(token)
        if claims.actor_id is not None and request.method not in SAFE_METHODS:
            raise ImpersonationReadOnly
        return claims

    def principal(self, claims: AccessClaims) -> Principal:
        if claims.actor_id is not None:
            principal = read_impersonated(claims.session_id, claims.user_id, claims.actor_id, self._clock())
            if principal is None:
                raise InvalidToken
            return principal
        return self.principal_of(claims.user_id, self.state(claims.user_id, claims.session_id), claims.session_id)

    def state(self, user_id: UUID, session_id: UUID) -> AccountState:
        """Raises InvalidToken when the user is gone or switched off, or the session has ended."""
        state = self._states.read(user_id, session_id)
        if state is None or not state.admitted:
            raise InvalidToken
        return state

    def principal_of(self, user_id: UUID, state: AccountState, session_id: UUID) -> Principal:
        return Principal(
            user_id=user_id,
            session_id=session_id,
            tier=state.tier_at(self._clock()),
            cached=state.cached,
            role=state.role,
        )


class SignedInAsOneself:
    """SignedIn, for what even a member of the staff must not read in the owner's place: exports, keys, invoices."""

    scheme: str | None = BEARER
    problems: tuple[type[Problem], ...] = SignedIn.problems

    def __init__(self, signed_in: SignedIn) -> None:
        self._signed_in = signed_in

    def admit(self) -> Principal:
        return self._signed_in.principal(self.claims())

    def claims(self) -> AccessClaims:
        claims = self._signed_in.claims()
        if claims.actor_id is not None:
            raise ImpersonationReadOnly
        return claims


class StaleSignIn(Problem):
    """The caller is signed in, but for this the proof must be fresh (RFC 9470, 3)."""

    status, error, title = 401, "insufficient_user_authentication", "Prove once more that it is you"

    def __init__(self) -> None:
        challenge = f'Bearer realm="mirroros", error="insufficient_user_authentication", max_age={FRESH_SECONDS}'
        super().__init__(headers={"WWW-Authenticate": challenge})


class RecentlySignedIn:
    """For what a stolen session must not do: the caller proved who it is, as itself, within the last five minutes."""

    scheme: str | None = BEARER
    problems: tuple[type[Problem], ...] = (*SignedIn.problems, StaleSignIn)

    def __init__(self, signed_in: SignedIn, clock: Clock) -> None:
        self._signed_in = signed_in
        self._clock = clock

    def admit(self) -> Principal:
        claims = self._signed_in.claims()
        if claims.actor_id is not None:
            raise ImpersonationReadOnly
        principal = self._signed_in.principal(claims)
        if self._clock().timestamp() - claims.auth_time > FRESH_SECONDS:
            raise StaleSignIn
        return principal


class HasRole:
    """The caller that `guard` admits, if its role includes `role`. The role is the account's now, never the token's."""

    scheme: str | None = BEARER

    def __init__(self, guard: Guard, role: Role) -> None:
        self._guard = guard
        self._role = role
        self.problems: tuple[type[Problem], ...] = (*guard.problems, InsufficientRole)

    def admit(self) -> Principal:
        principal: Principal = self._guard.admit()
        if not principal.role.includes(self._role):
            raise InsufficientRole
        return principal


@dataclass(frozen=True, slots=True)
class _Remembered:
    """The last known state of one session, under the lease's prefix at that time, with the principal of either tier."""

    prefix: str
    tier_expires_at: datetime | None
    principal: Principal
    after_expiry: Principal


class SignedInMetered:
    """For metered calls: no Redis trip of its own.

    A known caller is admitted on the state that this process saw last. `Principal.cached` says what that was, and the
    script that reserves the call compares it in Redis in its own round trip. When it differs, the gateway calls `renew`.
    A route that reserves nothing must use SignedIn.
    """

    scheme: str | None = BEARER
    problems: tuple[type[Problem], ...] = SignedIn.problems

    def __init__(self, signed_in: SignedIn, leases: RedisLeases, clock: Clock, *, remembered: int = 8192) -> None:
        self._signed_in = signed_in
        self._leases = leases
        self._clock = clock
        self._remembered: BoundedCache[UUID, _Remembered] = BoundedCache(remembered)

    def admit(self) -> Principal:
        claims = self._signed_in.claims()
        lease = self._leases.current()
        known = self._remembered.get(claims.session_id)
        if (
            known is not None
            and lease is not None
            and known.prefix == lease.prefix
            and known.principal.user_id == claims.user_id
        ):
            if known.tier_expires_at is None or self._clock() < known.tier_expires_at:
                return known.principal
            return known.after_expiry
        return self._ask(claims.user_id, claims.session_id)

    def renew(self, principal: Principal) -> Principal:
        """Forget what is known of this caller and ask again. Raises InvalidToken when it may no longer pass."""
        self._remembered.forget(principal.session_id)
        return self._ask(principal.user_id, principal.session_id)

    def _ask(self, user_id: UUID, session_id: UUID) -> Principal:
        lease = self._leases.current()
        state = self._signed_in.state(user_id, session_id)
        principal = self._signed_in.principal_of(user_id, state, session_id)
        if lease is not None and state.cached is not None and state.cached.key.startswith(lease.prefix):
            known = _Remembered(
                prefix=lease.prefix,
                tier_expires_at=state.tier_expires_at,
                principal=Principal(user_id, session_id, state.tier, state.cached, state.role),
                after_expiry=Principal(user_id, session_id, Tier.FREE, state.cached, state.role),
            )
            self._remembered.put(session_id, known)
        return principal
