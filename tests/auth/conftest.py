"""An application with accounts and nothing else, on a real database and a real Valkey."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import structlog
from conftest import bare_app
from flask import Flask
from flask.testing import FlaskClient
from limits import RateLimitItemPerMinute
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.test import TestResponse

from auth.access_token import KeyRing, SigningKey
from auth.address_limits import AuthLimits
from auth.assembly import Auth, AuthSettings, assemble_auth
from auth.routes import auth_routes
from database import db
from database.redis_lease import RedisLease
from security.edge import install_edge

PASSWORD = f"tulip {secrets.token_hex(8)}"
PLENTY = RateLimitItemPerMinute(100_000)
GENEROUS = AuthLimits(sign_in=PLENTY, register=PLENTY, refresh=PLENTY)


@dataclass
class MovableClock:
    """A clock that stands still until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class OneLease:
    """A lease that holds until a command fails under it."""

    lease: RedisLease | None
    failures: int = 0

    def current(self) -> RedisLease | None:
        return self.lease

    def failed(self, lease: RedisLease) -> None:
        self.failures += 1
        self.lease = None


@dataclass
class Accounts:
    """The application under test, with what a test needs to reach into it."""

    app: Flask
    auth: Auth
    clock: MovableClock
    leases: OneLease

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        return self.client.post(f"/api/auth{path}", json=body, **options)

    def register(self, email: str = "alice@example.com", password: str = PASSWORD) -> dict[str, Any]:
        answer = self.post("/register", {"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def sign_in(self, email: str = "alice@example.com", password: str = PASSWORD, **more: Any) -> TestResponse:
        return self.post("/login", {"email": email, "password": password, **more})

    def refresh(self, token: str, key: str | None = None) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.post("/refresh", {"refresh_token": token}, headers=headers)

    def profile(self, access_token: str) -> TestResponse:
        return self.client.get("/api/auth/profile", headers=bearer(access_token))

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        with self.app.app_context(), db.engine.begin() as connection:
            result = connection.execute(db.text(statement), parameters)
            return list(result) if result.returns_rows else []


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))


MakeAccounts = Callable[..., Accounts]


@pytest.fixture
def make_accounts(database_url: str, redis_url: str) -> Iterator[MakeAccounts]:
    """Builds applications on this test's database. Settings can be changed by name; `redis=None` is without Redis."""
    made: list[Accounts] = []

    def make(*, redis_at: str | None = redis_url, keys: KeyRing | None = None, **changes: Any) -> Accounts:
        clock = MovableClock()
        lease = RedisLease(epoch=1, prefix="mos:1:", client=connect(redis_at)) if redis_at else None
        leases = OneLease(lease)
        defaults = AuthSettings(
            issuer="https://api.example.com", bcrypt_cost=4, registration_response="classic", limits=GENEROUS
        )
        auth = assemble_auth(
            replace(defaults, **changes),
            access_keys=keys or KeyRing([SigningKey("k1", secrets.token_bytes(32))]),
            refresh_key=secrets.token_bytes(32),
            leases=leases,
            clock=clock,
        )
        app = bare_app(database_url)
        install_edge(app, cors_origins=frozenset(), require_https=False, trusted_proxy_hops=0, trusted_hosts=())
        app.register_blueprint(auth_routes(auth))
        accounts = Accounts(app, auth, clock, leases)
        made.append(accounts)
        return accounts

    yield make
    for each in made:
        with each.app.app_context():
            db.engine.dispose()
        if each.leases.lease is not None:
            each.leases.lease.client.close()


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts()


@pytest.fixture
def security_events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as events:
        yield events
