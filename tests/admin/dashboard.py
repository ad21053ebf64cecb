"""The dashboard of a whole application, with members of the staff in front of it.

`dashboard.staff(Role.SUPPORT).get("/admin/users")`, and `.post(path, {"reason": "…"})` with the form's token.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from auth.account_change import account_change
from auth.assembly import Auth
from auth.device import Device
from auth.email_address import parse_email
from auth.insert_user import insert_user
from auth.models import AuthSession
from auth.page_sessions.session import PageSessions, page_sessions_of
from auth.page_sessions.site import ADMIN, PORTAL, Site
from auth.principal import Role
from auth.second_factor.models import TotpSecret
from auth.sessions.open import insert_session
from database import transaction
from tests.whole.environment import PUBLIC_HOST

BASE = f"https://{PUBLIC_HOST}"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FROM_A_PAGE_OF_OURS = {**PAGE, "Origin": BASE, "Sec-Fetch-Site": "same-origin"}


@dataclass
class Staff:
    """Signed in, with the second factor, a moment ago."""

    client: FlaskClient
    sessions: PageSessions
    app: Flask
    user_id: UUID
    session_id: UUID
    email: str

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, base_url=BASE, headers=PAGE, **options)

    def post(self, path: str, fields: Mapping[str, Any] | None = None, *, csrf: bool = True) -> TestResponse:
        token = {"csrf_token": self.sessions.pages.csrf_token(self.session_id)} if csrf else {}
        return self.client.post(
            path,
            data={**token, **(fields or {})},
            base_url=BASE,
            headers=FROM_A_PAGE_OF_OURS,
            content_type="application/x-www-form-urlencoded",
        )

    def grow_old(self, **by: float) -> None:
        """The proof was given so long ago, and the session used."""
        at = self.sessions.auth.clock() - timedelta(**by)
        with self.app.app_context(), transaction() as session:
            session.execute(
                update(AuthSession)
                .where(AuthSession.id == self.session_id)
                .values(auth_time=at, last_seen_at=at, idle_expires_at=at + timedelta(minutes=30))
            )


@dataclass
class Dashboard:
    app: Flask
    made: Assembled = field(init=False)

    def __post_init__(self) -> None:
        self.made = self.app.extensions[ASSEMBLED]

    @property
    def auth(self) -> Auth:
        return self.made.auth

    @property
    def stranger(self) -> FlaskClient:
        return self.app.test_client()

    def user(
        self, email: str = "alice@example.com", role: Role = Role.USER, *, second_factor: bool = False, **more: Any
    ) -> UUID:
        """An account without a password, which nobody signs in to."""
        now = self.auth.clock()
        with self.app.app_context(), transaction() as session:
            user = insert_user(session, parse_email(email), now, role=role.value, is_verified=True, **more)
            assert user is not None
            if second_factor:
                sealed = self.auth.data_keys.seal(pyotp.random_base32().encode(), user.id.bytes)
                session.add(TotpSecret(user_id=user.id, sealed_secret=sealed, created_at=now, confirmed_at=now))
            return user.id

    def customer(self, email: str | None = None) -> Staff:
        """Signed in to the portal."""
        return self.staff(Role.USER, email=email, second_factor=False, site=PORTAL)

    def staff(
        self,
        role: Role = Role.ADMIN,
        *,
        email: str | None = None,
        second_factor: bool = True,
        site: Site = ADMIN,
    ) -> Staff:
        """Signed in without going through the pages."""
        email = email or f"{role}-{secrets.token_hex(3)}@example.com"
        user_id, sessions = self.user(email, role, second_factor=second_factor), page_sessions_of(self.auth, site)
        with self.app.app_context(), account_change(self.auth.states, self.auth.clock()) as change:
            opened = insert_session(
                change.session,
                user_id=user_id,
                device=Device("a browser", "127.0.0.1", "Dashboard"),
                remember=False,
                lifetimes=sessions.auth.settings.sessions,
                now=change.now,
            ).id
        client = self.app.test_client()
        value = sessions.set_cookie(opened).partition("=")[2].partition(";")[0]
        client.set_cookie(sessions.cookie, value, domain=PUBLIC_HOST, secure=True)
        return Staff(client, sessions, self.app, user_id, opened, email)

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.app.app_context(), transaction() as session:
            result = session.execute(text(statement), values)
            return [tuple(row) for row in result.all()] if result.returns_rows else []  # type: ignore[attr-defined]


def text_of(page: TestResponse) -> str:
    """What people read on it."""
    assert page.mimetype == "text/html", page.text
    body = re.sub(r"(?s)<head>.*?</head>", "", page.text)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())
