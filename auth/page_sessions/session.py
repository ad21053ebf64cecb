"""The session of somebody who is signed in to a site: an ordinary session, known by a cookie.

Whatever ends sessions ends it: signing out everywhere, disabling the account, a lock-out. The cookie holds the session's id and
a MAC of it, so nobody can make one of an id. It opens this site and nothing else: the one token that it gives out opens one product,
for the page of that product (docs/decisions/0032-the-chat-page.md).
"""

import hmac
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from flask import Response, after_this_request, request
from sqlalchemy import func, select, update
from werkzeug.http import dump_cookie

from auth.assembly import Auth
from auth.models import AuthSession, User
from auth.page_sessions.site import Site
from auth.principal import Principal, Role
from auth.second_factor.challenge import LIFETIME as CHALLENGE_LIFETIME
from auth.second_factor.factors import Factors, factors_of
from auth.sessions.cookies import TokenCookies
from auth.sessions.known_devices import LONGEST_TOKEN
from auth.tiers import Tier, effective_tier
from auth.tokens.access_token import IssuedToken
from database import reading, transaction
from security.base64url import base64url
from security.edge.client_address import client_address
from security.edge.origin import origin_of
from security.secrets.derived_key import derived_key

NOTE_USE_EVERY = timedelta(minutes=1)
SEALED_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})")


DEVICE_SECONDS = 400 * 24 * 3600
"""The longest that browsers keep a cookie (RFC 6265bis, 5.5)."""


@dataclass(frozen=True)
class Visitor:
    """Who is signed in to a site. `auth_time`: when they last proved who they are. `ends_at`: when the session does at the
    latest. `unverified`: what is metered waits for their address to be confirmed."""

    principal: Principal
    email: str
    auth_time: datetime
    factors: Factors
    ends_at: datetime
    unverified: bool = False


@dataclass(frozen=True)
class PageSessions:
    """`auth` opens sessions that live as long as the site's should. `pages`: its CSRF tokens, and which pages may post."""

    site: Site
    auth: Auth
    pages: TokenCookies
    key: bytes
    secure: bool

    @property
    def cookie(self) -> str:
        """Browsers take the prefix over https alone; without it for development."""
        return f"{'__Host-' if self.secure else ''}mirroros-{self.site.name}"

    def set_cookie(self, session_id: UUID) -> str:
        """Until the browser is closed: the server knows when the session ends."""
        return self._dump(self.cookie, f"{session_id}.{self._mac(session_id)}")

    def clear_cookie(self) -> str:
        return self._dump(self.cookie, "", max_age=0)

    def set_challenge(self, token: str) -> str:
        """The sign-in that waits for its second factor. In a cookie, for no page needs to hold it."""
        return self._dump(f"{self.cookie}-challenge", token, max_age=int(CHALLENGE_LIFETIME.total_seconds()))

    def read_challenge(self) -> str | None:
        return request.cookies.get(f"{self.cookie}-challenge")

    def remember_device(self, token: str | None) -> None:
        """For a browser that is new here: a stranger's wrong passwords do not lock it out (see known_devices.py)."""
        if token is not None:
            cookie = self._dump(f"{self.cookie}-device", token, max_age=DEVICE_SECONDS)
            after_this_request(partial(_with_cookie, cookie))

    def device_token(self) -> str | None:
        token = request.cookies.get(f"{self.cookie}-device")
        return None if token is None or len(token) > LONGEST_TOKEN else token

    def _dump(self, name: str, value: str, max_age: int | None = None) -> str:
        return dump_cookie(name, value, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="Strict")

    def visitor(self, *, counts_as_use: bool) -> Visitor | None:
        """Whose cookie the request brings; None when there is none, or its session has ended.

        Asked of PostgreSQL each time, and not counted against the plan of the account: a page that looks at itself every few
        seconds would use it up. `counts_as_use`: somebody looks, which keeps the session from ending for want of use.
        """
        session_id = self._session_id()
        if session_id is None:
            return None
        now = self.auth.clock()
        query = (
            select(
                AuthSession.user_id,
                AuthSession.auth_time,
                AuthSession.last_seen_at,
                AuthSession.expires_at,
                User.email,
                User.is_verified,
                User.role,
                User.tier,
                User.tier_expires_at,
            )
            .join(User, User.id == AuthSession.user_id)
            .where(AuthSession.id == session_id, AuthSession.revoked_at.is_(None), User.is_active)
            .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
        )
        with reading() as session:
            row = session.execute(query).one_or_none()
            if row is None:
                return None
            factors = factors_of(session, row.user_id)
        if counts_as_use and now - row.last_seen_at > NOTE_USE_EVERY:
            self._note_use(session_id, now)
        tier = effective_tier(Tier(row.tier), row.tier_expires_at, now)
        principal = Principal(row.user_id, session_id, tier, None, Role(row.role), fresh=True)
        unverified = self.auth.settings.require_email_verification and not row.is_verified
        return Visitor(principal, row.email, row.auth_time, factors, row.expires_at, unverified)

    def token_for(self, visitor: Visitor, scope: str) -> IssuedToken:
        """An access token of the visitor's session, for the script of a page. It opens what API keys with this scope open."""
        return self.auth.access_tokens.issue(
            user_id=visitor.principal.user_id,
            session_id=visitor.principal.session_id,
            auth_time=visitor.auth_time,
            not_after=visitor.ends_at,
            scope=scope,
        )

    def _session_id(self) -> UUID | None:
        found = SEALED_ID.fullmatch(request.cookies.get(self.cookie, ""))
        if found is None:
            return None
        session_id = UUID(found[1])
        return session_id if hmac.compare_digest(found[2], self._mac(session_id)) else None

    def _mac(self, session_id: UUID) -> str:
        return base64url(hmac.digest(self.key, session_id.bytes, "sha256"))

    def _note_use(self, session_id: UUID, now: datetime) -> None:
        idle_end = func.least(now + self.site.lifetimes.idle, AuthSession.expires_at)
        with transaction() as session:
            session.execute(
                update(AuthSession)
                .where(AuthSession.id == session_id, AuthSession.revoked_at.is_(None))
                .values(last_seen_at=now, idle_expires_at=idle_end, ip_last=client_address())
            )


def _with_cookie(cookie: str, response: Response) -> Response:
    response.headers.add("Set-Cookie", cookie)
    return response


def page_sessions_of(auth: Auth, site: Site) -> PageSessions:
    issuer = auth.settings.issuer
    return PageSessions(
        site=site,
        auth=replace(auth, settings=replace(auth.settings, sessions=site.lifetimes)),
        pages=replace(auth.cookies, pages=frozenset({origin_of(issuer) or issuer})),
        key=derived_key(auth.cookies.key, f"mirroros {site.name} sessions v1"),
        secure=issuer.startswith("https://"),
    )
