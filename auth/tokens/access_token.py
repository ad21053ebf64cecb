"""Access tokens: short-lived signed JWTs (RFC 9068) that say who calls and in which session, and never what they may do.

Tier and rights are read from the account's state, because a token cannot be taken back (OWASP ASVS 5, 8.3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from auth.bounded_cache import BoundedCache
from auth.tokens.access_keys import AccessKeyRing
from database.base import Clock
from security.base64url import bytes_of_base64url
from security.edge.problems import InvalidToken

TOKEN_TYPE = "at+jwt"  # noqa: S105 (RFC 9068, 2.1)
FORMAT_VERSION = 1
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 4096
LONGEST_LIFETIME = timedelta(days=1)
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "type", "ver", "auth_time")
TIMES = ("iat", "nbf", "exp", "auth_time")
WHATEVER_BYTES_CAN_RAISE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says. Times are Unix seconds."""

    user_id: UUID
    session_id: UUID
    not_before: int
    expires_at: int
    auth_time: int
    """When the caller last proved who it is."""
    actor_id: UUID | None = None
    """Who acts in the user's place (RFC 8693, 4.1). `session_id` is then the id of an impersonation, and no session."""
    scope: str | None = None
    """All that it opens (RFC 9068, 2.2.3): what API keys with this scope open. None: whatever the user may do."""


@dataclass(frozen=True)
class IssuedToken:
    text: str
    expires_in: int
    """Seconds."""


class AccessTokens:
    """Issues and verifies access tokens of one issuer for one audience."""

    def __init__(
        self,
        keys: AccessKeyRing,
        *,
        issuer: str,
        audience: str,
        lifetime: timedelta,
        clock: Clock,
        remembered: int = 8192,
    ) -> None:
        if not timedelta(minutes=1) <= lifetime <= LONGEST_LIFETIME:
            raise ValueError("An access token lives between 1 and 1440 minutes")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._clock = clock
        self._verified: BoundedCache[str, AccessClaims] = BoundedCache(remembered)

    def issue(
        self,
        *,
        user_id: UUID,
        session_id: UUID,
        auth_time: datetime,
        not_after: datetime,
        actor_id: UUID | None = None,
        scope: str | None = None,
    ) -> IssuedToken:
        """A token of the session, or of `actor_id`'s impersonation. It never outlives that, which ends at `not_after`. `scope`: it
        opens that alone.
        """
        now = self._clock()
        issued = int(now.timestamp())
        expires = int(min(now + self._lifetime, not_after).timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": issued,
            "nbf": issued,
            "exp": expires,
            "type": "access",
            "ver": FORMAT_VERSION,
            "auth_time": int(auth_time.timestamp()),
        }
        if actor_id is not None:
            claims["act"] = {"sub": str(actor_id)}
        if scope is not None:
            claims["scope"] = scope
        key = self._keys.signing
        headers = {"typ": TOKEN_TYPE, "kid": key.key_id}
        return IssuedToken(jwt.encode(claims, key.material, key.algorithm, headers), expires_in=expires - issued)

    def verify(self, token: str) -> AccessClaims:
        """Raises InvalidToken, alike for every reason.

        A token that verified once is remembered, because checking its signature costs 40 µs and finding it again 0.1 µs.
        Its times are compared with the clock on every use.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decode(token)
            self._verified.put(token, claims)
        now = self._clock().timestamp()
        if not claims.not_before - LEEWAY_SECONDS <= now < claims.expires_at + LEEWAY_SECONDS:
            raise InvalidToken
        return claims

    def _decode(self, token: str) -> AccessClaims:
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken
        try:
            bytes_of_base64url(token.rpartition(".")[2])  # the rest is signed as it is written; this part is not
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            # The header has to be the very one that we write: no `crit`, no `jku`, no algorithm but the key's own
            # (RFC 8725, 3.1).
            if key is None or header != {"alg": key.algorithm, "typ": TOKEN_TYPE, "kid": key.key_id}:
                raise InvalidToken
            claims = jwt.decode(
                token,
                key.verifier,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": list(CLAIMS),
                    "strict_aud": True,
                    # Times are compared in `verify`, with the clock that was handed in.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return self._read(claims)
        except WHATEVER_BYTES_CAN_RAISE as error:
            raise InvalidToken from error

    def _read(self, claims: Mapping[str, Any]) -> AccessClaims:
        """Raises ValueError for a claim that we would not have written."""
        if any(type(claims[name]) is not int for name in TIMES):
            raise ValueError("times are whole seconds")
        if not 0 < claims["exp"] - claims["iat"] <= LONGEST_LIFETIME.total_seconds():
            raise ValueError("no token lives that long")
        if claims["iat"] > self._clock().timestamp() + LEEWAY_SECONDS:
            raise ValueError("issued in the future")
        if claims["type"] != "access" or type(claims["ver"]) is not int or claims["ver"] != FORMAT_VERSION:
            raise ValueError("another kind of token")
        canonical_uuid(claims["jti"])
        return AccessClaims(
            user_id=canonical_uuid(claims["sub"]),
            session_id=canonical_uuid(claims["sid"]),
            not_before=claims["nbf"],
            expires_at=claims["exp"],
            auth_time=claims["auth_time"],
            actor_id=_actor(claims["act"]) if "act" in claims else None,
            scope=_scope(claims["scope"]) if "scope" in claims else None,
        )


def _actor(claim: object) -> UUID:
    """Raises ValueError and TypeError for anything but the one actor that we would have written: no chain of them."""
    if not isinstance(claim, dict) or set(claim) != {"sub"}:
        raise ValueError("not an actor")
    return canonical_uuid(claim["sub"])


def _scope(claim: object) -> str:
    """Raises TypeError."""
    if not isinstance(claim, str):
        raise TypeError("a scope is a text")
    return claim


def canonical_uuid(text: object) -> UUID:
    """Raises ValueError for anything but the 36 characters of RFC 9562; `UUID()` itself also takes braces and URNs."""
    if not isinstance(text, str):
        raise TypeError("a UUID is written as text")
    parsed = UUID(text)
    if str(parsed) != text:
        raise ValueError("not the canonical form")
    return parsed
