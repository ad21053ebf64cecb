"""Applications with accounts and nothing else, on a real database and a real Valkey."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog

from auth.accounts.routes import profile_routes
from auth.api_keys.routes import api_key_routes
from auth.apple_tokens.client import AppleTokens
from auth.assembly import AuthSettings, assemble_auth
from auth.audit.routes import event_routes
from auth.email.pages import account_pages
from auth.email.routes import email_routes
from auth.exports.routes import export_routes
from auth.identity_providers.routes import identity_routes
from auth.impersonation.routes import impersonation_routes
from auth.invites.routes import invite_routes
from auth.passwords.routes import password_routes
from auth.personal_data import PersonalData
from auth.routes import auth_routes
from auth.second_factor.passkeys.routes import passkey_routes
from auth.second_factor.routes import second_factor_routes
from auth.sessions.routes import session_routes
from auth.tokens.access_keys import AccessKeyRing, SigningKey
from database.base import Clock
from database.redis.server import RedisAddress, RedisServer
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from tests.auth.accounts_app import GENEROUS, Accounts, LetterBox, MovableClock
from tests.auth.key_holder import routes_with_keys
from tests.bare_app import bare_app, disconnect

PREDICT_SCOPES = {"predict": "Make predictions."}
MakeAccounts = Callable[..., Accounts]

ROUTES = (
    auth_routes,
    email_routes,
    session_routes,
    password_routes,
    profile_routes,
    export_routes,
    api_key_routes,
    second_factor_routes,
    passkey_routes,
    identity_routes,
    event_routes,
    invite_routes,
    impersonation_routes,
)
BLUEPRINTS = len(ROUTES) + 2
"""With the pages of accounts and the routes that take API keys."""


class Shelf:
    """Applications that were used and are as good as new, by how they were made. Making one costs 30 ms."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, list[Accounts]] = defaultdict(list)

    def take(self, kind: Hashable) -> Accounts | None:
        if not self._kept[kind]:
            return None
        accounts = self._kept[kind].pop()
        accounts.clock.now = MovableClock().now
        accounts.box.messages.clear()
        accounts.app._got_first_request = False  # it takes further routes, as a new one does
        return accounts

    def put(self, kind: Hashable, accounts: Accounts) -> None:
        """One to which a test added routes, or which gave up on Redis, is not kept."""
        if kind is not None and len(accounts.app.blueprints) == BLUEPRINTS and accounts.redis.client() is not None:
            self._kept[kind].append(accounts)
        else:
            self._end(accounts)

    def clear(self) -> None:
        for kept in self._kept.values():
            for accounts in kept:
                self._end(accounts)

    def _end(self, accounts: Accounts) -> None:
        disconnect(accounts.app)
        accounts.redis.close()


@pytest.fixture
def database_url(kept_database_url: str) -> str:
    return kept_database_url


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.clear()


@pytest.fixture
def make_accounts(database_url: str, redis_url: str, shelf: Shelf) -> Iterator[MakeAccounts]:
    """Builds applications on this test's database, or takes one from the shelf. Settings can be changed by name;
    `redis_at=None` is without Redis.
    """
    made: list[tuple[Accounts, Hashable]] = []

    def make(
        *,
        redis_at: str | None = redis_url,
        database_at: str = database_url,
        scopes: Mapping[str, str] = PREDICT_SCOPES,
        personal_data: Sequence[PersonalData] = (),
        apple_tokens_of: Callable[[Clock], AppleTokens] | None = None,
        **changes: Any,
    ) -> Accounts:
        usual = (redis_at, database_at) == (redis_url, database_url) and not personal_data and apple_tokens_of is None
        kind = (database_url, repr(sorted(scopes)), repr(sorted(changes.items()))) if usual else None
        if kind and (kept := shelf.take(kind)):
            made.append((kept, kind))
            return kept
        clock, box = MovableClock(), LetterBox()
        redis = RedisServer(None if redis_at is None else RedisAddress(redis_at, timeout=5.0), rest=60)
        defaults = AuthSettings(
            issuer="https://api.example.com", bcrypt_cost=4, registration_response="classic", limits=GENEROUS
        )
        auth = assemble_auth(
            replace(defaults, **changes),
            access_keys=AccessKeyRing([SigningKey("k1", secrets.token_bytes(32))]),
            refresh_key=secrets.token_bytes(32),
            throttle_key=secrets.token_bytes(32),
            one_time_key=secrets.token_bytes(32),
            invite_key=secrets.token_bytes(32),
            data_keys={"d1": secrets.token_bytes(32)},
            transport=box,
            scopes=scopes,
            personal_data=personal_data,
            apple_tokens=None if apple_tokens_of is None else apple_tokens_of(clock),
            redis=redis,
            clock=clock,
        )
        app = bare_app(database_at)
        install_edge(app, require_https=False, trusted_proxy_hops=0, trusted_hosts=())
        for routes in ROUTES:
            app.register_blueprint(routes(auth.of_account_calls))
        app.register_blueprint(account_pages())
        install_cors(app, auth.settings.web_origins)
        accounts = Accounts(app, auth, clock, redis, box)
        app.register_blueprint(routes_with_keys(accounts))
        made.append((accounts, kind))
        return accounts

    yield make
    for each, kind in made:
        shelf.put(kind, each)


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts()


@pytest.fixture
def security_events() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as events:
        yield events
