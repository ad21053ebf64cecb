"""An application with accounts and nothing else, and what a test needs to reach into it."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from limits import RateLimitItemPerMinute
from redis import Redis
from werkzeug.test import TestResponse

from auth.assembly import Auth
from auth.jobs import auth_jobs
from auth.rate_limits.by_address import AuthLimits
from auth.sessions.lifetimes import SessionLifetimes
from database import db
from database.jobs.declare import Jobs
from database.redis.server import RedisServer

PASSWORD = f"tulip {secrets.token_hex(4)}"
PLENTY = RateLimitItemPerMinute(100_000)
GENEROUS = AuthLimits(
    sign_in=PLENTY,
    sign_in_hourly=PLENTY,
    register=PLENTY,
    register_daily=PLENTY,
    register_of_one_email=PLENTY,
    refresh=PLENTY,
    refresh_of_one_session=PLENTY,
    second_factor=PLENTY,
    wrong_api_keys=PLENTY,
    wrong_invite_codes=PLENTY,
    emails=PLENTY,
    confirm=PLENTY,
    emails_to_one_mailbox=(PLENTY,),
    strangers=(PLENTY,),
    known_devices=(PLENTY,),
)

A_DAY = SessionLifetimes(idle=timedelta(days=1))
"""Without use, so that a test gets to the end of a session in few steps."""


@dataclass
class MovableClock:
    """A clock that stands still until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class LetterBox:
    """Where messages arrive when a test runs the jobs (`Accounts.messages`)."""

    messages: list[EmailMessage] = field(default_factory=list)

    def deliver(self, message: EmailMessage) -> None:
        self.messages.append(message)


@dataclass
class Accounts:
    """The application under test, with what a test needs to reach into it."""

    app: Flask
    auth: Auth
    clock: MovableClock
    redis: RedisServer
    box: LetterBox

    @property
    def redis_client(self) -> Redis:
        client = self.redis.client()
        assert client is not None
        return client

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        return self.client.post(f"/api/auth{path}", json=body, **options)

    def register(self, email: str = "alice@example.com", password: str = PASSWORD) -> dict[str, Any]:
        """The message that confirms the address is put aside, so that a test sees the messages that it is about."""
        answer = self.post("/register", {"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        self.messages()
        return dict(answer.get_json())

    def sign_in(self, email: str = "alice@example.com", password: str = PASSWORD, **more: Any) -> TestResponse:
        return self.post("/login", {"email": email, "password": password, **more})

    def refresh(self, token: str, key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.post("/refresh", {"refresh_token": token}, headers=headers)

    def profile(self, access_token: str) -> TestResponse:
        return self.client.get("/api/auth/profile", headers=bearer(access_token))

    def messages(self) -> list[EmailMessage]:
        """Run the jobs that wait, by their own functions, and those that they enqueue; take what arrived since last time."""
        declared = Jobs.of(auth_jobs(self.auth)).declared
        waiting = "DELETE FROM procrastinate_jobs WHERE status = 'todo' RETURNING id, task_name, args"
        while jobs := sorted(self.query(waiting)):
            for _, name, arguments in jobs:
                with self.app.app_context():
                    declared[name].run(**arguments)
        arrived, self.box.messages = self.box.messages, []
        return arrived

    def events(self, user_id: str | None = None) -> list[str]:
        """The names of the security events, in their order."""
        condition = "" if user_id is None else "WHERE user_id = :user_id"
        return [
            row[0] for row in self.query(f"SELECT event FROM security_events {condition} ORDER BY id", user_id=user_id)
        ]

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        with self.app.app_context(), db.engine.begin() as connection:
            result = connection.execute(db.text(statement), parameters)
            return list(result) if result.returns_rows else []


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
