"""How tokens reach the client that signed in or refreshed: the one place where every such answer is made."""

from typing import TypeVar

from auth.bodies import TokensAnswer, signed_in_answer, tokens_answer
from auth.sessions.cookies import TokenCookies
from auth.sessions.open import SignedInUser
from auth.sessions.token_pair import TokenPair
from security.api.operation import Answer

AnyTokens = TypeVar("AnyTokens", bound=TokensAnswer)

SET_COOKIE = {"Set-Cookie": "The refresh token, if `token_delivery` is `cookie`."}
"""For `answer_headers` of routes that give tokens."""


def answer_signed_in(signed_in: SignedInUser, *, status: int = 200, cookies: TokenCookies | None = None) -> Answer:
    """`cookies` as `TokenCookies.wanted` gave it: then the refresh token is in a cookie and not in the body."""
    return _answer(status, signed_in_answer(signed_in), signed_in.tokens, cookies)


def answer_tokens(tokens: TokenPair, *, cookies: TokenCookies | None = None) -> Answer:
    return _answer(200, tokens_answer(tokens), tokens, cookies)


def _answer(status: int, body: AnyTokens, tokens: TokenPair, cookies: TokenCookies | None) -> Answer:
    if cookies is None:
        return Answer(status, body)
    kept = {"refresh_token": None, "csrf_token": cookies.csrf_token(tokens.session_id)}
    return Answer(status, body.model_copy(update=kept), {"Set-Cookie": cookies.set_cookie(tokens)})
