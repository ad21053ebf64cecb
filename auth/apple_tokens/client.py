"""Apple's token endpoints: an authorization code becomes a refresh token, and a refresh token is taken back.

developer.apple.com/documentation/signinwithapplerestapi: "Token validation", "Token revocation", "Creating a client secret".
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import requests

from auth.apple_tokens.settings import AppleTokensSection
from database.base import Clock
from settings.section import secret_text

AUDIENCE = "https://appleid.apple.com"
SECRET_LIVES = timedelta(minutes=5)
"""Apple allows six months. A new one costs a signature, and this one is of no use to whoever finds it later."""
TIMEOUT_SECONDS = (3.0, 10.0)
LARGEST_ANSWER = 64 * 1024
SPENT = frozenset({"invalid_grant", "invalid_request"})
"""The code or the token is at fault (RFC 6749, 5.2): used, expired, taken back, or never given. The rest is about us."""


class AppleRefused(Exception):
    """`error` is Apple's own word, as OAuth 2.0 has it. `spent`: this code or token will never be taken."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error
        self.spent = error in SPENT


class AppleUnreachable(Exception):
    """No answer, or none that can be read. It may be different later."""


@dataclass(frozen=True)
class GrantedTokens:
    """`subject` is whom the code was given for. Apple said so over TLS, so its signature needs no look (OpenID Connect Core
    1.0, 3.1.3.7)."""

    refresh_token: str = field(repr=False)
    subject: str


@dataclass(frozen=True)
class AppleTokens:
    """Call it outside of any transaction. `base_url` is Apple's, or a stand-in's.

    The key is one for Sign in with Apple, from Apple's developer account. `private_key` is its .p8 file, in PEM.
    """

    key_id: str
    team_id: str
    private_key: str = field(repr=False)
    base_url: str
    clock: Clock

    def exchange(self, code: str, client_id: str, redirect_uri: str | None) -> GrantedTokens:
        """A code can be used once, within five minutes. `redirect_uri` is what the web app gave when it asked for the code.

        Raises AppleRefused, AppleUnreachable.
        """
        body = {"grant_type": "authorization_code", "code": code}
        if redirect_uri is not None:
            body["redirect_uri"] = redirect_uri
        answer = self._post("/auth/token", client_id, body)
        try:
            claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
            return GrantedTokens(str(answer["refresh_token"]), str(claims["sub"]))
        except (KeyError, TypeError, jwt.PyJWTError):
            raise AppleUnreachable("/auth/token: unreadable") from None

    def revoke(self, refresh_token: str, client_id: str) -> None:
        """Apple also says yes to one that was taken back before. Raises AppleRefused, AppleUnreachable."""
        self._post("/auth/revoke", client_id, {"token": refresh_token, "token_type_hint": "refresh_token"})

    def _post(self, path: str, client_id: str, body: dict[str, str]) -> dict[str, Any]:
        form = {"client_id": client_id, "client_secret": self._client_secret(client_id), **body}
        try:
            with requests.post(
                f"{self.base_url}{path}", data=form, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            ) as response:
                response.raw.decode_content = True
                content = response.raw.read(LARGEST_ANSWER)
                status = response.status_code
        except (requests.RequestException, OSError) as error:
            raise AppleUnreachable(f"{path}: {type(error).__name__}") from None
        answer = _object(content)
        if status == requests.codes.ok:
            return answer
        if isinstance(answer.get("error"), str):
            raise AppleRefused(answer["error"])
        raise AppleUnreachable(f"{path}: HTTP {status}")

    def _client_secret(self, client_id: str) -> str:
        now = self.clock()
        claims = {"iss": self.team_id, "iat": now, "exp": now + SECRET_LIVES, "aud": AUDIENCE, "sub": client_id}
        return jwt.encode(claims, self.private_key, "ES256", {"kid": self.key_id})


def _object(content: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object: the answer to a revocation has no content."""
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def apple_tokens_of(settings: AppleTokensSection, clock: Clock) -> AppleTokens | None:
    """None without a key for Sign in with Apple."""
    key_id, team_id = settings.apple_sign_in_key_id, settings.apple_sign_in_team_id
    private_key = secret_text(settings.apple_sign_in_private_key)
    if key_id is None or team_id is None or private_key is None:
        return None
    return AppleTokens(key_id, team_id, private_key, settings.apple_sign_in_url, clock)
