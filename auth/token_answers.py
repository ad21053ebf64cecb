"""How tokens reach the client that signed in or refreshed: the one place where every such answer is made."""

from collections.abc import Callable
from typing import Any

from auth.bodies import NewSession, SignedInAnswer, TokensAnswer
from auth.device import Device, device
from auth.sessions.cookies import TokenCookies
from auth.sessions.open import SignedInUser
from auth.sessions.token_pair import TokenPair
from security.api.operation import Answer

SET_COOKIE = {"Set-Cookie": "The refresh token, if `token_delivery` is `cookie`."}
"""For `answer_headers` of routes that give tokens."""


def answer_signed_in(
    cookies: TokenCookies, body: NewSession, sign_in: Callable[[Device], SignedInUser], *, status: int = 200
) -> Answer:
    """Signs in, unless it is another site that asks for a cookie. Raises CsrfFailed, and what `sign_in` raises."""
    requested = cookies.requested(body.token_delivery)
    signed_in = sign_in(device(body.device_name))
    more = {"user": signed_in.profile, "device_token": signed_in.device_token}
    return _answer(status, SignedInAnswer, signed_in.tokens, requested, more)


def answer_tokens(tokens: TokenPair, *, cookies: TokenCookies | None = None) -> Answer:
    return _answer(200, TokensAnswer, tokens, cookies, {})


def _answer(
    status: int, kind: type[TokensAnswer], tokens: TokenPair, cookies: TokenCookies | None, more: dict[str, Any]
) -> Answer:
    more |= {"access_token": tokens.access_token, "expires_in": tokens.expires_in}
    if cookies is None:
        return Answer(status, kind(refresh_token=tokens.refresh_token, **more))
    body = kind(csrf_token=cookies.csrf_token(tokens.session_id), **more)
    return Answer(status, body, {"Set-Cookie": cookies.set_cookie(tokens)})
