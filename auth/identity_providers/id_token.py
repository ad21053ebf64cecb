"""ID tokens (OpenID Connect Core 1.0, 2) that an app got from Apple or Google and posts to us."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from auth.email_address import EmailAddress, EmailAddressNotAcceptable, parse_email
from auth.identity_providers.jwks import ProviderKeys
from auth.tokens.access_token import WHATEVER_BYTES_CAN_RAISE
from database.base import Clock
from security.edge.problems import Unauthorized

ProviderName = Literal["apple", "google"]

LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8192
LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, 2
LONGEST_AGE_SECONDS = 600
"""Apps post a token as soon as they have it. Google's would be good for an hour, to whoever finds one in a log."""
REQUIRED = ("iss", "aud", "sub", "iat", "exp", "nonce")


class IdTokenNotValid(Unauthorized):
    """Wrong signature, audience, issuer, nonce or time, or no verified e-mail address to begin with: one answer for all."""

    error, title = "invalid_id_token", "The ID token is not valid"


@dataclass(frozen=True)
class ProvenIdentity:
    """Who the provider says is there, to the app `client_id`. `email` only when the provider verified it; `authoritative` when
    it knows, moreover, that the address has not changed hands since."""

    provider: ProviderName
    client_id: str
    subject: str
    email: EmailAddress | None
    authoritative: bool


@dataclass(frozen=True)
class Provider:
    """What tells one provider's tokens. `nonce_claim` makes of the app's nonce what stands in the token. `is_authoritative` says
    of a verified address whether the provider answers for who has it now."""

    name: ProviderName
    issuers: frozenset[str]
    nonce_claim: Callable[[str], str]
    is_authoritative: Callable[[EmailAddress, Mapping[str, Any]], bool]


def _hosted_by_google(email: EmailAddress, claims: Mapping[str, Any]) -> bool:
    """Gmail and Workspace (`hd`). Any other address was checked once, and may belong to somebody else by now
    (developers.google.com, "Verify the Google ID token on your server side")."""
    return email.key.endswith("@gmail.com") or bool(claims.get("hd"))


# developer.apple.com, "Verifying a user": the app gives the SHA-256 of its nonce to Apple.
APPLE = Provider(
    "apple",
    frozenset({"https://appleid.apple.com"}),
    lambda nonce: hashlib.sha256(nonce.encode()).hexdigest(),
    lambda _email, _claims: True,
)
# developers.google.com, "Verify the Google ID token on your server side": both spellings are issued.
GOOGLE = Provider(
    "google",
    frozenset({"https://accounts.google.com", "accounts.google.com"}),
    lambda nonce: nonce,
    _hosted_by_google,
)


@dataclass(frozen=True)
class IdTokens:
    """Checks the tokens of one provider that were issued for one of our apps (`audiences`)."""

    provider: Provider
    audiences: frozenset[str]
    keys: ProviderKeys
    clock: Clock

    def verify(self, token: str, nonce: str) -> ProvenIdentity:
        """Raises IdTokenNotValid, and ProviderUnavailable when it cannot be told."""
        try:
            header = jwt.get_unverified_header(token)
            key_id = header.get("kid")
            key = self.keys.find(key_id) if isinstance(key_id, str) else None
            # The key says which algorithm it is for, not the token (RFC 8725, 3.1).
            if key is None or header.get("alg") != key.algorithm_name or "crit" in header:
                raise IdTokenNotValid
            claims = jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                audience=self.audiences,
                issuer=self.provider.issuers,
                # Times are compared below, with the clock that was handed in.
                options={"require": list(REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return self._read(claims, nonce)
        except WHATEVER_BYTES_CAN_RAISE as error:
            raise IdTokenNotValid from error

    def _read(self, claims: Mapping[str, Any], nonce: str) -> ProvenIdentity:
        """Raises ValueError and TypeError."""
        now = self.clock().timestamp()
        if not isinstance(claims["aud"], str):
            raise TypeError("a token for several audiences is not for us")
        if not claims["iat"] - LEEWAY_SECONDS <= now < claims["exp"] + LEEWAY_SECONDS:
            raise ValueError("not now")
        if now - claims["iat"] > LONGEST_AGE_SECONDS + LEEWAY_SECONDS:
            raise ValueError("too old")
        if not hmac.compare_digest(str(claims["nonce"]).encode(), self.provider.nonce_claim(nonce).encode()):
            raise ValueError("another sign-in's token")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise ValueError("no subject")
        email = _verified_email(claims)
        authoritative = email is not None and self.provider.is_authoritative(email, claims)
        return ProvenIdentity(self.provider.name, claims["aud"], subject, email, authoritative)


def _verified_email(claims: Mapping[str, Any]) -> EmailAddress | None:
    # Apple has written the flag as text (developer.apple.com, "Authenticating users with Sign in with Apple").
    if claims.get("email_verified") not in {True, "true"} or not isinstance(claims.get("email"), str):
        return None
    try:
        return parse_email(claims["email"])
    except EmailAddressNotAcceptable:
        return None
