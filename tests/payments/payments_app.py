"""An application with payments and nothing else, and what a test needs to reach into it. Only sign-in is left out."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Never

from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from auth.email_codes.one_time_codes import OneTimeCodes
from auth.mail.messages import Mailer
from auth.models import User
from auth.principal import Principal
from auth.tiers import Tier, effective_tier
from database import db, transaction
from database.base import Clock
from database.engine import EngineOptions, writer_connection
from payments.assembly import Payments, assemble_payments
from payments.billing.rules import BillingRules, PeriodRules
from payments.commands import payment_commands
from payments.inbox.inbox import Applied, EventHandler, StoredEvent
from payments.routes import payment_blueprints
from payments.subscriptions.grant_manually import grant_by_hand
from payments.subscriptions.grant_tier import Announce, lock_user, recompute_tier
from payments.subscriptions.record import Recorded, SubscriptionFact, record_subscription
from payments.subscriptions.status import Provider
from security.edge.edge import install_edge
from security.edge.problems import NotSignedIn, Problem
from tests.auth.accounts_app import LetterBox
from tests.bare_app import bare_app


class NamedCaller:
    """The guard of these tests: the caller's id stands in a header."""

    scheme: str | None = "bearer"
    problems: tuple[type[Problem], ...] = (NotSignedIn,)

    def admit(self) -> Principal:
        if "X-Test-User" not in request.headers:
            raise NotSignedIn
        user = uuid.UUID(request.headers["X-Test-User"])
        return Principal(user, user, Tier.FREE, None)


@dataclass
class MovableClock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class RunningPayments:
    app: Flask
    payments: Payments
    clock: Clock
    announced: list[tuple[uuid.UUID, int]]

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def get(self, path: str, user: uuid.UUID | None = None) -> TestResponse:
        return self.client.get(f"/api/payments{path}", headers=as_caller(user))

    def post(self, path: str, body: Any, user: uuid.UUID | None = None, *, key: str | None = None) -> TestResponse:
        """`key`: the Idempotency-Key."""
        headers = as_caller(user) | ({} if key is None else {"Idempotency-Key": key})
        return self.client.post(f"/api/payments{path}", json=body, headers=headers)

    def user(self, name: str = "alice") -> uuid.UUID:
        """A new account, without a password."""
        address = f"{name}@example.com"
        now = self.clock()
        with self.app.app_context(), transaction() as session:
            user = User(email=address, email_key=address, created_at=now, updated_at=now)
            session.add(user)
            session.flush()
            return user.id

    def tier(self, user: uuid.UUID) -> Tier:
        """The tier that counts now, judged as authentication judges it."""
        row = self.query("SELECT tier, tier_expires_at FROM users WHERE id = :user", user=user)[0]
        return effective_tier(Tier(row.tier), row.tier_expires_at, self.clock())

    def record(self, fact: SubscriptionFact, owner: uuid.UUID | None = None) -> Recorded | None:
        """Write a fact down and give the owner their tier, as every effect does."""
        now, rules = self.clock(), self.payments.rules
        with self.app.app_context(), transaction() as session:
            if owner is not None:
                lock_user(session, owner)
            recorded = record_subscription(session, fact, owner=owner, grace=rules.grace, now=now)
            if recorded is not None and recorded.user_id is not None:
                recompute_tier(session, recorded.user_id, cause="test", now=now)
            return recorded

    def grant(self, user: uuid.UUID, tier: Tier, until: datetime | None = None) -> None:
        """As `flask users set-tier` does."""
        with self.app.app_context(), transaction() as session:
            lock_user(session, user)
            grant_by_hand(session, user, tier, until, now=self.clock(), by="operator")

    def store(self, external_id: str = "evt_1", body: bytes = b"{}") -> uuid.UUID | None:
        return self.payments.inbox.store(
            provider=Provider.STRIPE, external_id=external_id, kind="test", environment=None, body=body
        )

    def work(self, *, workers: int = 1) -> int:
        """What workers do now: every job of an event that is enqueued, once. Returns how many events were settled."""
        taken = self.query("DELETE FROM procrastinate_jobs WHERE task_name = 'apply_billing_event' RETURNING args")

        def apply(job: Any) -> int:
            with self.app.app_context():
                return self.payments.inbox.apply(uuid.UUID(job.args["event_id"]))

        if workers == 1:
            return sum(map(apply, taken))
        with ThreadPoolExecutor(workers) as side_by_side:
            return sum(side_by_side.map(apply, taken))

    def run_job(self, name: str) -> object:
        job = next(job for job in self.payments.jobs if job.name == name)
        with self.app.app_context():
            return job.run()

    def cli(self, *arguments: str) -> Any:
        return self.app.test_cli_runner().invoke(args=["payments", *arguments])

    def query(self, statement: str, **parameters: Any) -> Sequence[Any]:
        with self.app.app_context(), db.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def ledger(self, user: uuid.UUID) -> list[tuple[str, str]]:
        rows = self.query("SELECT from_tier, to_tier FROM entitlement_ledger WHERE user_id = :u ORDER BY id", u=user)
        return [(row.from_tier, row.to_tier) for row in rows]

    def subscriptions(self) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in self.query("SELECT * FROM subscriptions ORDER BY id")]

    def events(self) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in self.query("SELECT * FROM billing_events ORDER BY id")]

    def counted(self, name: str) -> int:
        rows = self.query("SELECT count FROM billing_counts WHERE name = :name", name=name)
        return int(rows[0][0]) if rows else 0


def assembled(url: str, rules: BillingRules, periods: PeriodRules | None = None, **more: Any) -> Payments:
    """As app.py does it, but for who calls."""
    connect = writer_connection(url, EngineOptions())
    periods = periods or period_rules(rules.clock)
    return assemble_payments(rules, periods, signed_in=NamedCaller(), owner=NamedCaller(), connect=connect, **more)


PAY_URL = "https://api.example.com/portal"


def period_rules(clock: Clock, **changes: Any) -> PeriodRules:
    """A test looks at the e-mails that are enqueued; nobody sends them."""
    codes = OneTimeCodes(bytes(32))
    mailer = Mailer(LetterBox(), "billing@example.com", "https://api.example.com", codes, clock)
    return PeriodRules(mailer, PAY_URL, clock=clock, **changes)


def announce_to(announced: list[tuple[uuid.UUID, int]]) -> Announce:
    return lambda user, version: announced.append((user, version))


def app_of(url: str, payments: Payments) -> Flask:
    """With the routes and commands of these payments, and nothing else."""
    app = bare_app(url)
    install_edge(app, require_https=False, trusted_proxy_hops=0, trusted_hosts=())
    for routes in payment_blueprints(payments):
        app.register_blueprint(routes)
    for command in payment_commands(payments):
        app.cli.add_command(command)
    return app


def as_caller(user: uuid.UUID | None) -> dict[str, str]:
    return {} if user is None else {"X-Test-User": str(user)}


def write_nothing(session: Session, now: datetime, finding: None) -> Applied:
    return Applied()


def find_nothing(event: StoredEvent) -> Never:
    raise AssertionError(f"no event of {event.provider} was expected")


NOTHING_TO_DO = EventHandler(find_nothing, write_nothing)
