"""For web apps: the refresh token stays in a cookie that no script can read, and other sites cannot make use of it.

The cookie alone does nothing. A request that rests on it must come from one of our pages, as the browser says, and bring a
token that only a page which read our answer has: HMAC(key, session id | random) . random (OWASP CSRF prevention cheat
sheet, "signed double-submit cookie"). Clients that send the refresh token themselves need none of this.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from flask import request
from sqlalchemy import select
from werkzeug.http import dump_cookie

from auth.models import AuthSession
from auth.sessions.token_pair import TokenPair
from auth.tokens.refresh_token import RefreshTokenNotValid, RefreshTokens, read_refresh_token
from database import reading
from database.base import Clock
from security.base64url import base64url
from security.edge.origin import origin_of
from security.edge.problems import Problem

COOKIE = "__Host-rt"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain, so that no other host can plant one (RFC 6265bis, 4.1.3)."""
CSRF_FORM = re.compile(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{22}")
RANDOM_BYTES = 16
JSON = "application/json"

TokenDelivery = Literal["body", "cookie"]


class CsrfFailed(Problem):
    """The detail is for whoever writes the web app: another site cannot read it, and knows its own request anyway."""

    status, error, title = 403, "csrf_failed", "This page cannot send the request"


OTHER_SITE = (
    "The page is on another site than this API ({api}), so the browser does not send the cookie. Use the same domain for both,"
    " such as app.example.com and api.example.com, or localhost"
)
UNKNOWN_PAGE = "The origin of the page is not allowed. Add it to CORS_ORIGINS"
NOT_JSON = "Send the content type application/json"
WRONG_CSRF_TOKEN = "Send the csrf_token of the sign-in or of GET /api/auth/csrf-token as X-CSRF-Token"  # noqa: S105


@dataclass(frozen=True)
class TokenCookies:
    """`pages` are the origins whose pages may use the cookie: `scheme://host[:port]`."""

    key: bytes
    pages: frozenset[str]
    clock: Clock
    api: str = ""
    """The address of this API, for those who call it by another one."""

    def requested(self, delivery: TokenDelivery) -> "TokenCookies | None":
        """These, when a sign-in asked for a cookie. Raises CsrfFailed when another site asked: it would sign in a visitor
        to an account of its own."""
        if delivery == "body":
            return None
        self.refuse_other_pages()
        return self

    def read_with_csrf_token(self) -> str | None:
        """The refresh token of the request's cookie, to be acted upon; None without one. Raises CsrfFailed."""
        token = self.read()
        if token is None:
            return None
        presented = read_refresh_token(token)
        if request.mimetype != JSON:
            raise CsrfFailed(NOT_JSON)
        sent: str = request.environ.get("HTTP_X_CSRF_TOKEN", "")
        if presented is not None and not self.is_csrf_token_of(presented.session_id, sent):
            raise CsrfFailed(WRONG_CSRF_TOKEN)
        return token

    def read(self) -> str | None:
        """The same for a request that changes nothing, and so needs no CSRF token. Raises CsrfFailed."""
        token = request.cookies.get(COOKIE)
        if token is not None:
            self.refuse_other_pages()
        return token

    def set_cookie(self, tokens: TokenPair) -> str:
        """The `Set-Cookie` that keeps the refresh token: as long as the session may live, or until the browser closes."""
        ends_at = tokens.session_ends_at
        max_age = None if ends_at is None else max(0, int((ends_at - self.clock()).total_seconds()))
        return dump_cookie(
            COOKIE, tokens.refresh_token, max_age=max_age, path="/", secure=True, httponly=True, samesite="Strict"
        )

    def clear_cookie(self) -> str:
        return dump_cookie(COOKIE, "", max_age=0, path="/", secure=True, httponly=True, samesite="Strict")

    def csrf_token(self, session_id: UUID) -> str:
        noise = base64url(secrets.token_bytes(RANDOM_BYTES))
        return f"{self._mac(session_id, noise)}.{noise}"

    def is_csrf_token_of(self, session_id: UUID, sent: str) -> bool:
        if CSRF_FORM.fullmatch(sent) is None:
            return False
        mac, _, noise = sent.partition(".")
        return hmac.compare_digest(mac, self._mac(session_id, noise))

    def _mac(self, session_id: UUID, noise: str) -> str:
        return base64url(hmac.digest(self.key, session_id.bytes + noise.encode(), "sha256"))

    def refuse_other_pages(self) -> None:
        """A browser says where a page is in a header that no script can set (Fetch Metadata). A page on another host of
        our own site, and a browser too old to say so, is known by its origin. Raises CsrfFailed."""
        site = request.environ.get("HTTP_SEC_FETCH_SITE")
        if site in {"same-origin", "none"}:
            return
        if site not in {None, "same-site"}:
            raise CsrfFailed(OTHER_SITE.format(api=self.api))
        if _page_of_request() not in self.pages:
            raise CsrfFailed(UNKNOWN_PAGE)


def csrf_token_for(cookies: TokenCookies, refresh_tokens: RefreshTokens, refresh_token: str) -> str:
    """For a web page that was loaded anew and has lost its CSRF token: its cookie gets it another one.

    Only for a token of ours: otherwise a stranger who knows the id of a session would get what is bound to it. Raises
    RefreshTokenNotValid.
    """
    presented = read_refresh_token(refresh_token)
    if presented is None:
        raise RefreshTokenNotValid
    with reading() as session:
        salt = session.scalars(
            select(AuthSession.salt).where(AuthSession.id == presented.session_id, AuthSession.revoked_at.is_(None))
        ).one_or_none()
    if salt is None or not refresh_tokens.is_genuine(presented, salt):
        raise RefreshTokenNotValid
    return cookies.csrf_token(presented.session_id)


def _page_of_request() -> str | None:
    """The origin of the page that sent the request, by `Origin`, else by `Referer`."""
    origin: str | None = request.environ.get("HTTP_ORIGIN")
    return origin if origin is not None else origin_of(request.environ.get("HTTP_REFERER", ""))
