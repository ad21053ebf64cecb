"""What is held about a person: an export has all of it, and after the account is deleted nothing says who that was.

One user has a row in every table that knows users. A new table fails here until `ROWS` has a row of it and the export has it.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import ARRAY, Date, DateTime, LargeBinary, Table, Text, insert, select, text
from sqlalchemy.exc import IntegrityError

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.accounts.close import close_account
from auth.accounts.purge import purge_accounts
from auth.assembly import Auth
from auth.audit.models import SecurityEvent
from auth.exports.export import collect_export, download_export, request_export
from capabilities.shop.models import Product
from config import load_settings
from database import db, reading, transaction
from database.base import Base
from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from sandbox.stripe_server.development_prices import PRICES_SETTING
from tests.auth.accounts_app import PASSWORD, bearer
from tests.whole.environment import production_environment

EMAIL, OLD_EMAIL, NAME = "quixote@example.com", "quixote-before@example.com", "Zoe Quixote"
ADDRESS, NETWORK, DEVICE = "203.0.113.77", "203.0.113.0/24", "QuixotePhone/9.1"
TRACES = ("quixote", ADDRESS, NETWORK)
"""In lower case. Every text of the user's has one of them in it."""
SECRET = b"a secret of the service"
WEBHOOK_SECRET = "whsec_x"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADERS = {"X-Forwarded-For": ADDRESS, "User-Agent": DEVICE}
CHAT = UUID(int=7)

ROWS: dict[str, tuple[dict[str, Any], ...]] = {
    "users": (),  # registered
    "sessions": ({"device_name": NAME, "user_agent": DEVICE, "ip": ADDRESS, "ip_last": ADDRESS},),
    "identities": ({"provider": "apple", "subject": NAME},),
    "apple_refresh_tokens": ({"client_id": "com.example.app"},),
    "known_devices": ({},),
    "api_keys": (
        {
            "start": "tok_1234",
            "name": NAME,
            "scopes": ["predict"],
            "allowed_networks": [NETWORK],
            "seen_networks": [NETWORK],
            "last_used_ip": ADDRESS,
        },
    ),
    "passkeys": ({"name": NAME, "transports": ["internal"]},),
    "totp_secrets": ({},),
    "recovery_codes": ({},),
    "wrong_second_factors": ({},),
    "passkey_challenges": ({"purpose": "registration"},),
    "sign_in_challenges": ({"method": "password", "choices": {"device_name": NAME}},),
    "one_time_codes": ({"purpose": "undo_email_change", "email": OLD_EMAIL},),
    "dead_emails": ({"template": "x", "address": OLD_EMAIL, "values": {"device": DEVICE}, "reason": "x"},),
    "data_exports": ({"content": json.dumps({"email": EMAIL})},),
    "impersonations": ({"actor_id": "other", "reason": f"{NAME} asked for help"}, {"user_id": "other", "reason": "x"}),
    "security_events": (
        {"event": "x", "ip": ADDRESS, "user_agent": DEVICE, "detail": {"reason": NAME, "kept": 1}},
        {"event": "x", "ip": ADDRESS, "user_agent": DEVICE, "detail": {}, "user_id": "other", "actor_id": "user"},
        {"event": "x", "ip": "198.51.100.9", "user_agent": "staff", "detail": {}, "actor_id": "other"},
    ),
    "usage_counters": ({"feature": "predict", "unit": "call", "window": "2026-11-29"},),
    "usage_reservations": ({"feature": "predict", "unit": "call", "window": "2026-11-29"},),
    "usage_gates": ({"feature": "predict"},),
    "charges": ({"feature": "predict"},),
    "usage_budgets": ({},),
    "request_logs": (
        {"request_data_hash": "0" * 64, "success": True, "feature": "predict", "tier": "free", "error_code": None},
    ),
    "idempotency_keys": ({"route": "predict", "fingerprint": "x", "answer": NAME},),
    "billing_customers": ({"stripe_customer_id": "cus_1"},),
    "subscriptions": (
        {
            "provider": "stripe",
            "tier": "pro",
            "stripe_subscription_id": "sub_1",
            "status": "expired",
            "environment": "test",
        },
    ),
    "entitlement_ledger": ({"from_tier": "free", "to_tier": "pro", "cause": "test"},),
    "checkout_intents": (
        {"provider": "stripe", "kind": "customer", "state": "done", "parameters": EMAIL},
        {"provider": "stripe", "kind": "checkout", "state": "expired", "parameters": json.dumps({"back": NAME})},
    ),
    "payments": (
        {"purchase_kind": "seat", "provider": "stripe", "status": "succeeded", "currency": "eur", "refunded_amount": 0},
    ),
    "billing_periods": ({"period": "2026-02", "state": "due", "currency": "usd"},),
    "billing_credits": ({"reason": f"{NAME} was charged twice", "given_by": "operator"},),
    "chat_conversations": (
        {"id": CHAT, "title": f"About {NAME}", "title_source": "user", "system_prompt": f"Call me {NAME}"},
    ),
    "chat_messages": (
        {
            "conversation_id": CHAT,
            "parent_id": None,
            "role": "assistant",
            "content": f"Dear {NAME}",
            "state": "complete",
            "rating_comment": f"{NAME} likes it",
        },
    ),
    "shop_orders": (
        {
            "number": "B7Q2-M4XK",
            "status": "cancelled",
            "total_minor": 1,
            "refunded_minor": 1,
            "shipping_minor": 0,
            "currency": "eur",
            "payment_id": None,
            "ship_to": {"name": NAME},
            "note": f"For {NAME}",
            "cancel_reason": f"{NAME} moved",
        },
    ),
    "shop_order_items": ({"name": "A bonsai", "refunded_quantity": 0},),
    "shop_refunds": ({"reason": f"{NAME} sent it back", "state": "done", "actor_id": "other", "items": []},),
    "stock_movements": ({"kind": "reserve", "refund_id": None, "actor_id": None},),
    "shop_order_events": (
        {"to_status": "pending", "actor": "buyer", "reason": f"{NAME} wants it"},
        {"to_status": "shipped", "actor": "staff", "reason": "198.51.100.9", "actor_id": "other"},
    ),
    "ssh_keys": (
        {
            "name": f"{NAME}'s laptop",
            "type": "ssh-ed25519",
            "public_key": "ssh-ed25519 A",
            "fingerprint": "x",
            "key_id": "0",
        },
    ),
    "ssh_profiles": (
        {
            "name": f"{NAME}'s server",
            "host": "quixote.example.net",
            "username": "quixote",
            "auth": "password",
            "ssh_key_id": None,
            "terminal_type": "xterm",
        },
    ),
    "ssh_known_hosts": (
        {"host": "quixote.example.net", "algorithm": "ssh-ed25519", "fingerprint": "x", "source": "api"},
    ),
    "ssh_seen_host_keys": ({"host": "quixote.example.net", "algorithm": "ssh-ed25519", "fingerprint": "x"},),
    "terminal_sessions": (
        {"state": "closed", "close_reason": "client", "detached_at": None, "name": f"{NAME} at work"},
    ),
    "terminal_commands": ({"command": f"finger {NAME}", "cwd": "/home/quixote"},),
    "sync_items": ({"kind": "setting", "key": "greeting", "value": f"Hello {NAME}", "deleted": False},),
    "sync_heads": ({},),
}
"""The texts of each row. What else a row needs is filled in by its type; `other` is another user."""

SECTIONS = {
    "account.account": "users",
    "account.sessions": "sessions",
    "account.identities": "identities",
    "account.apple_authorizations": "apple_refresh_tokens",
    "account.known_devices": "known_devices",
    "account.api_keys": "api_keys",
    "account.passkeys": "passkeys",
    "account.authenticator_apps": "totp_secrets",
    "account.recovery_codes": "recovery_codes",
    "account.wrong_second_factors": "wrong_second_factors",
    "account.passkey_challenges": "passkey_challenges",
    "account.waiting_sign_ins": "sign_in_challenges",
    "account.one_time_codes": "one_time_codes",
    "account.exports": "data_exports",
    "account.unsent_emails": "dead_emails",
    "account.impersonations": "impersonations",
    "account.impersonations_as_staff": "impersonations",
    "account.security_events": "security_events",
    "account.security_events_as_staff": "security_events",
    "gateway.calls": "request_logs",
    "gateway.usage": "usage_counters",
    "gateway.budget": "usage_budgets",
    "gateway.charges": "charges",
    "gateway.calls_in_flight": "usage_reservations",
    "gateway.bursts": "usage_gates",
    "gateway.stored_answers": "idempotency_keys",
    "payments.customers": "billing_customers",
    "payments.subscriptions": "subscriptions",
    "payments.tiers": "entitlement_ledger",
    "payments.checkouts": "checkout_intents",
    "payments.payments": "payments",
    "payments.billing_periods": "billing_periods",
    "payments.billing_credits": "billing_credits",
    "chat.conversations": "chat_conversations",
    "chat.messages": "chat_messages",
    "shop.orders": "shop_orders",
    "shop.order_items": "shop_order_items",
    "shop.order_events": "shop_order_events",
    "shop.refunds": "shop_refunds",
    "shop.stock_movements": "stock_movements",
    "terminal.sessions": "terminal_sessions",
    "terminal.ssh_profiles": "ssh_profiles",
    "terminal.ssh_keys": "ssh_keys",
    "terminal.ssh_known_hosts": "ssh_known_hosts",
    "terminal.ssh_seen_host_keys": "ssh_seen_host_keys",
    "terminal.commands": "terminal_commands",
    "terminal.sync_items": "sync_items",
    "terminal.sync_revision": "sync_heads",
}
"""Part and section of the export, and the table that it is of."""

OPENS = "what opens the account, or what that is computed from"
COUNTED = "a number that only tells versions of the row apart"
OF_OTHERS = "who of the staff, or who else"
WITHHELD = {
    "users.password_hash": OPENS,
    "users.email_key": "the address once more, to compare",
    "users.state_version": COUNTED,
    "sessions.salt": OPENS,
    "sessions.generation": OPENS,
    "sessions.rotation_key_hash": OPENS,
    "known_devices.token_hash": OPENS,
    "api_keys.token_hash": OPENS,
    "passkeys.credential_id": OPENS,
    "passkeys.public_key": OPENS,
    "totp_secrets.sealed_secret": OPENS,
    "totp_secrets.last_step": OPENS,
    "recovery_codes.salt": OPENS,
    "recovery_codes.digest": OPENS,
    "passkey_challenges.challenge": OPENS,
    "sign_in_challenges.token_hash": OPENS,
    "sign_in_challenges.state_version": COUNTED,
    "one_time_codes.id": OPENS,
    "dead_emails.id": "it tells messages apart",
    "dead_emails.job_id": "it tells jobs apart",
    "dead_emails.code_id": OPENS,
    "apple_refresh_tokens.sealed_token": "what Apple gave us alone",
    "data_exports.content": "an export, which is downloaded by itself",
    "impersonations.actor_id": OF_OTHERS,
    "security_events.actor_id": OF_OTHERS,
    "idempotency_keys.key_sha256": "a hash of what the client sent",
    "idempotency_keys.fingerprint": "a hash of what the client sent",
    "subscriptions.source_epoch": COUNTED,
    "subscriptions.source_version": COUNTED,
    "subscriptions.renewal_version": COUNTED,
    "payments.source_version": COUNTED,
    "entitlement_ledger.cause": OF_OTHERS,
    "billing_credits.given_by": OF_OTHERS,
    "chat_messages.owner": "the process that writes a reply",
    "chat_messages.owner_until": "the process that writes a reply",
    "ssh_keys.sealed": "a private key, which only its owner's servers see",
    "ssh_keys.key_id": "which of our keys sealed it",
    "ssh_known_hosts.key": "its fingerprint stands for it",
    "ssh_seen_host_keys.id": "it tells rows apart",
    "ssh_seen_host_keys.key": "its fingerprint stands for it",
    "chat_messages.search": "the words of the message once more, to search them",
    "shop_refunds.actor_id": OF_OTHERS,
    "stock_movements.actor_id": OF_OTHERS,
    "shop_order_events.actor_id": OF_OTHERS,
}
"""Every column that no export has, and why. The user's own id stands once, at the top."""

RENAMED = {"sessions.ip": "ip_first"}


@dataclass(frozen=True)
class Service:
    app: Flask
    auth: Auth
    jobs: Jobs
    database_url: str

    def work(self) -> None:
        asyncio.run(run_worker(self.app, self.jobs, self.database_url, WorkerOptions(), once=True))


@dataclass(frozen=True)
class Person:
    id: UUID
    session_id: UUID
    other_id: UUID


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    settings = load_settings(
        {
            **production_environment(database_url, "http://127.0.0.1:9"),
            "FLASK_ENV": "development",
            "BCRYPT_COST": "4",
            "EMAIL_FOLDER": str(tmp_path / "mail"),
            "STRIPE_SECRET_KEY": "sk_test_x",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_PRICES": PRICES_SETTING,
        }
    )
    app = assemble(settings)
    made: Assembled = app.extensions[ASSEMBLED]
    with app.app_context():
        yield Service(app, made.auth, made.jobs, database_url)
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def person(service: Service) -> Person:
    """Registered, renamed, signed in wrongly and mailed by the real routes; then a row in each table besides."""
    client = service.app.test_client()
    answer = client.post("/api/auth/register", json={"email": EMAIL, "password": PASSWORD}, headers=HEADERS)
    assert answer.status_code == 201, answer.text
    other = client.post("/api/auth/register", json={"email": "bob@example.com", "password": PASSWORD}).get_json()
    own = {**HEADERS, **bearer(answer.get_json()["access_token"])}
    names = {"display_name": NAME, "username": "quixote"}
    assert client.put("/api/auth/profile", json=names, headers=own).status_code == 200
    wrong = {"email": EMAIL, "password": f"not {PASSWORD}"}
    assert client.post("/api/auth/login", json=wrong, headers=HEADERS).status_code == 401
    client.post("/api/auth/forgot-password", json={"email": EMAIL}, headers=HEADERS)
    client.post("/api/auth/email/change", json={"new_email": "quixote-after@example.com"}, headers=own)
    told_by_stripe(service)
    user_id, other_id = UUID(answer.get_json()["user"]["id"]), UUID(other["user"]["id"])
    with transaction() as session:
        session_id = session.execute(text("SELECT id FROM sessions WHERE user_id = :id"), {"id": user_id}).scalar_one()
        invite_id, item_id = uuid4(), uuid4()
        session.execute(filled("invites", {"id": invite_id, "max_uses": 1, "uses": 1, "note": f"for {NAME}"}))
        session.execute(filled("items", {"id": item_id, "code": "x", "title": "x", "currency": "eur"}))
        bonsai = Product(name="A bonsai", price_minor=1, currency="eur", created_at=NOW, updated_at=NOW)
        session.add(bonsai)
        session.flush()
        ids: dict[str, Any] = {
            "user": user_id,
            "other": other_id,
            "sessions": session_id,
            "items": item_id,
            "shop_products": bonsai.id,
        }
        for table, rows in ROWS.items():
            for row in rows:
                made = filled(table, row, ids)
                session.execute(made)
                ids.setdefault(table, made.compile().params.get("id"))
        event = {"event": "registered", "detail": {"invite_id": str(invite_id)}, "ip": ADDRESS, "user_agent": DEVICE}
        session.execute(filled("security_events", event, ids))
    return Person(user_id, session_id, other_id)


def told_by_stripe(service: Service) -> None:
    """An event with the buyer's name and address in it."""
    buyer = {"id": "in_1", "object": "invoice", "customer_email": EMAIL, "customer_name": NAME, "parent": None}
    event = {"id": "evt_1", "object": "event", "type": "invoice.upcoming", "livemode": False, "data": {"object": buyer}}
    body, at = json.dumps(event), int(time.time())
    mac = hmac.new(WEBHOOK_SECRET.encode(), f"{at}.{body}".encode(), "sha256").hexdigest()
    signed = {"Stripe-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}
    answer = service.app.test_client().post("/api/payments/stripe/webhook", data=body, headers=signed)
    assert answer.status_code == 200, answer.text


def filled(name: str, given: Mapping[str, Any], ids: Mapping[str, Any] | None = None) -> Any:
    """A row of that table. What is not given, and the table demands, has some value of its type."""
    table, ids = Base.metadata.tables[name], ids or {}
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.name in given:
            value = given[column.name]
            values[column.name] = ids[value] if value in ("user", "other") and column.name.endswith("_id") else value
        elif column.name == "user_id" or (column.name == "actor_id" and not column.nullable):
            values[column.name] = ids["user"]
        elif column.foreign_keys:
            (key,) = column.foreign_keys
            values[column.name] = ids[key.column.table.name]
        elif column.primary_key or not column.nullable or isinstance(column.type, DateTime | LargeBinary):
            values[column.name] = some(table, column.name)
    return insert(table).values(values)


def some(table: Table, name: str) -> Any:
    kind = table.columns[name].type
    if isinstance(kind, DateTime):
        return NOW
    if isinstance(kind, LargeBinary):
        return SECRET
    if isinstance(kind, Date):
        return date(2026, 3, 1)
    assert not isinstance(kind, Text | ARRAY), f"say what a row of {table.name} has as {name}"
    return uuid4() if kind.python_type is UUID else kind.python_type(1)


def leads_to_users(table: Table, seen: frozenset[str] = frozenset()) -> bool:
    """Whether its rows belong to users: by a column, or by a row of another table that does."""
    if table.name == "users" or {"user_id", "actor_id"} & set(table.columns.keys()):
        return True
    return any(
        leads_to_users(key.column.table, seen | {table.name})
        for key in table.foreign_keys
        if key.column.table.name not in seen
    )


OF_USERS = {table.name for table in Base.metadata.tables.values() if leads_to_users(table)}


def test_every_table_that_knows_users_is_here_and_in_the_export() -> None:
    assert set(ROWS) == set(SECTIONS.values()) == OF_USERS


def exported(service: Service, person: Person) -> tuple[str, dict[str, list[dict[str, Any]]]]:
    """The whole text, and the rows of each section."""
    begun = request_export(service.auth, person.id, person.session_id)
    collect_export(service.auth, str(begun.id))
    content = download_export(service.auth, person.id, person.session_id, begun.id).decode()
    parts = json.loads(content)["parts"]
    assert parts["gateway"].pop("log_is_complete") is True
    assert parts["chat"].pop("messages_are_complete") is True
    sections = {f"{part}.{name}": rows for part, held in parts.items() for name, rows in held.items()}
    return content, {name: rows if isinstance(rows, list) else [rows] for name, rows in sections.items()}


HANG_ON = """
    SELECT id FROM identities UNION SELECT id FROM shop_orders WHERE user_id = :id
    UNION SELECT item.id FROM shop_order_items item JOIN shop_orders ON order_id = shop_orders.id WHERE user_id = :id
"""


def rows_with(name: str, person: Person) -> list[dict[str, Any]]:
    """The rows of a table that carry the user's id, or hang on one that does."""
    table = Base.metadata.tables[name]
    with reading() as session:
        rows = [dict(row) for row in session.execute(select(table)).mappings()]
        owners = {person.id, *session.scalars(text(HANG_ON), {"id": person.id})}
    return [row for row in rows if not owners.isdisjoint(each for each in row.values() if isinstance(each, UUID))]


def test_an_export_has_every_row_that_carries_the_users_id(service: Service, person: Person) -> None:
    before = {name: len(rows_with(name, person)) for name in OF_USERS}
    assert all(before.values()), before
    _, sections = exported(service, person)
    listed = dict.fromkeys(OF_USERS, 0)
    for section, rows in sections.items():
        listed[SECTIONS[section]] += len(rows)
    # The export itself is requested before it is collected, and the request is in the audit log.
    before["data_exports"] += 1
    before["security_events"] += 1
    assert listed == before


def test_an_export_has_every_column_but_those_that_are_named_with_a_reason(service: Service, person: Person) -> None:
    content, sections = exported(service, person)
    for name in OF_USERS:
        fields = {field for section, rows in sections.items() if SECTIONS[section] == name for field in rows[0]}
        missing = {
            column.name
            for column in Base.metadata.tables[name].columns
            if RENAMED.get(f"{name}.{column.name}", column.name) not in fields and column.name != "user_id"
        }
        assert missing == {key.partition(".")[2] for key in WITHHELD if key.startswith(f"{name}.")}, name
    assert SECRET.decode() not in content
    for trace in (EMAIL, OLD_EMAIL, NAME, ADDRESS, NETWORK, DEVICE):
        assert trace in content


def test_an_export_says_nothing_of_the_staff_and_of_others(service: Service, person: Person) -> None:
    content, sections = exported(service, person)
    assert "198.51.100.9" not in content
    assert str(person.other_id) not in content
    assert [row["by_staff"] for row in sections["account.security_events"]].count(True) == 1
    assert [row["reason"] for row in sections["account.impersonations"]] == [f"{NAME} asked for help"]


def places_with_traces() -> set[str]:
    """Table and column of every value in the database that tells of the user, whatever its type."""
    found = set()
    with reading() as session:
        tables = session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        ).all()
        for table in tables:
            for row in session.execute(text(f'SELECT * FROM "{table}"')).mappings():
                for column, value in row.items():
                    shown = bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
                    if any(trace in shown.lower() for trace in TRACES):
                        found.add(f"{table}.{column}")
    return found


def fail_every_email(service: Service, folder: Path) -> None:
    """Until no job tries again. What they enqueue fails as well."""
    folder.write_text("no folder")
    for _ in range(2):
        service.work()
        with transaction() as session:
            session.execute(
                text("UPDATE procrastinate_jobs SET attempts = 5, scheduled_at = NULL WHERE status = 'todo'")
            )
    service.work()
    with reading() as session:
        ended = session.scalars(text("SELECT status::text FROM procrastinate_jobs WHERE task_name = 'send_email'"))
        assert set(ended) == {"failed"}


@pytest.mark.slow
def test_after_the_account_is_deleted_no_table_says_who_that_was(
    service: Service, person: Person, tmp_path: Path
) -> None:
    exported(service, person)
    held = places_with_traces()
    for place in (
        "users.email",
        "users.display_name",
        "users.username",
        "sessions.ip",
        "sessions.user_agent",
        "security_events.ip",
        "security_events.user_agent",
        "security_events.detail",
        "one_time_codes.email",
        "dead_emails.address",
        "checkout_intents.parameters",
        "invites.note",
        "data_exports.content",
        "billing_credits.reason",
        "chat_conversations.title",
        "chat_conversations.system_prompt",
        "chat_messages.content",
        "chat_messages.rating_comment",
        "chat_messages.search",
        "shop_orders.ship_to",
        "shop_orders.note",
        "shop_orders.cancel_reason",
        "shop_order_events.reason",
        "shop_refunds.reason",
        "ssh_keys.name",
        "ssh_profiles.host",
        "ssh_known_hosts.host",
        "ssh_seen_host_keys.host",
        "terminal_sessions.name",
        "terminal_commands.command",
        "sync_items.value",
        "procrastinate_jobs.args",
    ):
        assert place in held, f"nothing of the user stands in {place}, so this test shows nothing of it"
    assert not {place for place in held if place.startswith("billing_events.")}

    close_account(service.auth, person.id, person.session_id)
    fail_every_email(service, tmp_path / "mail")
    with transaction() as session:  # only now: that worker may have had the job in its hands
        session.execute(text("UPDATE users SET delete_after = '2000-01-01' WHERE id = :id"), {"id": person.id})
    assert purge_accounts(service.auth) == 1

    assert places_with_traces() == set()
    assert any("example.com" in row["email"] for row in rows_of_users())  # the other one is still there


def rows_of_users() -> list[dict[str, Any]]:
    with reading() as session:
        return [dict(row) for row in session.execute(select(Base.metadata.tables["users"])).mappings()]


def test_what_stays_of_a_deleted_account_is_what_happened_and_what_was_paid(service: Service, person: Person) -> None:
    events = rows_with("security_events", person)
    close_account(service.auth, person.id, person.session_id)
    with transaction() as session:
        session.execute(text("UPDATE users SET delete_after = '2000-01-01' WHERE id = :id"), {"id": person.id})
    assert purge_accounts(service.auth) == 1

    assert {name for name in OF_USERS if rows_with(name, person)} == {
        "security_events",
        "entitlement_ledger",
        "charges",
        "billing_periods",
        "billing_credits",
    }
    left = {row["id"]: row for row in rows_with("security_events", person)}
    for event in events:
        detail = {key: value for key, value in event["detail"].items() if key != "reason"}
        assert left[event["id"]] == {**event, "ip": None, "user_agent": None, "detail": detail}
    with reading() as session:
        kept = session.execute(text("SELECT user_id, amount FROM payments")).all()
    assert [tuple(row) for row in kept] == [(None, 1)]


REFUSED_CHANGES = (
    "event = 'nothing_happened'",
    "user_id = NULL",
    "occurred_at = now()",
    "detail = '{}'",
    "detail = detail - 'kept'",
    "detail = detail - 'reason'",
    "ip = NULL",
    "user_agent = NULL",
    "ip = NULL, user_agent = 'another'",
    "ip = NULL, user_agent = NULL, event = 'nothing_happened'",
    "ip = NULL, user_agent = NULL, detail = detail - 'kept'",
    "ip = NULL, user_agent = NULL, request_id = 'another'",
)


def test_the_audit_log_lets_nothing_else_be_changed(service: Service, person: Person) -> None:
    before = rows_with("security_events", person)
    for change in REFUSED_CHANGES:
        with pytest.raises(IntegrityError, match="rows of security_events are never changed"), transaction() as session:
            session.execute(text(f"UPDATE security_events SET {change} WHERE detail ? 'kept'"))
    assert rows_with("security_events", person) == before


def test_a_long_history_is_forgotten_in_portions(
    service: Service, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.exports.forget_origins.PORTION", 2)
    close_account(service.auth, person.id, person.session_id)
    with transaction() as session:
        session.execute(text("UPDATE users SET delete_after = '2000-01-01' WHERE id = :id"), {"id": person.id})
    assert purge_accounts(service.auth) == 1
    with reading() as session:
        own = select(SecurityEvent).where(SecurityEvent.user_id == person.id)
        assert {(row.ip, row.user_agent) for row in session.scalars(own)} == {(None, None)}
