"""What Stripe sends: signed events of subscriptions that the stand-in has in its books."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from flask_migrate import upgrade

from app import assemble
from auth.models import User
from auth.tiers import Tier
from bench.callers import HOST
from bench.services import FOLDER, ROOT
from bench.web_server import inherited_environment
from config import load_settings
from database import db, transaction
from database.base import utc_now, uuid7
from database.schema import MIGRATIONS
from payments.models import BillingCustomer
from sandbox.postgres import stop_with_parent
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer

PRICE = "price_pro_monthly"
UPDATED = "customer.subscription.updated"


def stripe_with_subscriptions(count: int, books: Path) -> StripeServer:
    """Its books are in that file too, for `stripe_server`. This one listens nowhere; it signs."""
    books.unlink(missing_ok=True)
    server = StripeServer(books_file=books)
    add_development_prices(server)
    for number in range(count):
        customer = server.customers.add(email=f"customer-{number}@{HOST}")
        price = server.books.get("price", PRICE)
        subscription = server.subscriptions.begin(customer["id"], price, card=Card.GOOD, metadata={})
        server.subscriptions.change(subscription, metadata={"seat": str(number)})
    server.stop()  # writes the books
    return server


def add_customers(environment: Mapping[str, str], server: StripeServer) -> None:
    """An account for each of its customers, in our own database, which is migrated for that."""
    now = utc_now()
    with assemble(load_settings(environment)).app_context():
        upgrade(directory=str(MIGRATIONS))
        with transaction() as session:
            for customer in server.books.all("customer"):
                user_id, email = uuid7(), customer["email"]
                tier = Tier.FREE.value
                session.add(User(id=user_id, email=email, email_key=email, tier=tier, created_at=now, updated_at=now))
                session.flush()
                session.add(
                    BillingCustomer(
                        user_id=user_id,
                        stripe_customer_id=customer["id"],
                        apple_account_token=uuid7(),
                        created_at=now,
                    )
                )
        db.engine.dispose()


def event_requests(server: StripeServer) -> Iterator[bytes]:
    """Endless. Each is an event of its own, and signed when it is asked for."""
    updates = [(each.event["id"], each.body) for each in server.outbox.deliveries if each.kind == UPDATED]
    for event_id, body in cycle(updates):
        yield event_request(server, body.replace(event_id, f"evt_{secrets.token_hex(12)}"))


def event_request(server: StripeServer, body: str) -> bytes:
    content = body.encode()
    lines = (
        "POST /api/payments/stripe/webhook HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json; charset=utf-8",
        "Accept: */*; q=0.5, application/xml",
        "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        f"Stripe-Signature: {server.outbox.signature(body)}",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + content


@contextmanager
def stripe_server(secret_key: str, books: Path) -> Iterator[str]:
    """The address of a stand-in with these books, in a process of its own."""
    command = [sys.executable, "-m", "sandbox.stripe_server", "--books", str(books), "--keys", str(FOLDER / "stripe")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**inherited_environment(), "STRIPE_SECRET_KEY": secret_key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=stop_with_parent,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().removeprefix("api: ").strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
