"""A plan that is bought at Stripe changes the limits of the very next request, in every process, and so does a refund."""

import pytest
import requests

from examples.private_server.server import PrivateServer
from sandbox.stripe_server.server import StripeServer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment, stripe_environment
from tests.whole.test_purchase_reaches_limits import limits_of, work_once


@pytest.mark.slow
def test_buying_and_refunding(
    start_web_server: StartWebServer, stripe: StripeServer, private: PrivateServer, database_url: str, redis_url: str
) -> None:
    environ = {
        **production_environment(database_url, private.url, redis_url),
        **stripe_environment(stripe),
        "FLASK_ENV": "development",
        "BCRYPT_COST": "4",
    }
    server = start_web_server(environ)
    stripe.outbox.url = f"http://127.0.0.1:{server.port}/api/payments/stripe/webhook"
    alice = server.register("alice")
    assert limits_of(server, alice) == {("free", 5, "5")}

    wanted = {"tier": "pro", "billing_cycle": "monthly"}
    page = server.post("/api/payments/stripe/create-checkout-session", wanted, alice.access_token)
    assert page.status == 200, page.body
    requests.post(page.json()["checkout_url"], data={"action": "good"}, allow_redirects=False, timeout=10)
    assert set(stripe.outbox.deliver_pending()) == {200}
    work_once(environ)
    assert limits_of(server, alice) == {("pro", 100, "60")}

    stripe.refunds.refund(next(stripe.books.all("charge")))
    assert set(stripe.outbox.deliver_pending()) == {200}
    work_once(environ)
    assert limits_of(server, alice) == {("free", 5, "5")}
    assert next(stripe.books.all("subscription"))["status"] == "canceled"
