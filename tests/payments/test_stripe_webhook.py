"""POST /api/payments/stripe/webhook: only what Stripe signed, once, and what it says is asked for again."""

import itertools
import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
import stripe as stripe_library
from sqlalchemy import text
from sqlalchemy.event import listen
from structlog.testing import capture_logs

from auth.tiers import Tier
from database import db
from payments.apply_stripe_event import HANDLERS, stripe_events
from payments.inbox.inbox import MOST_ATTEMPTS
from payments.product_table import ProductTable
from payments.subscriptions.status import Provider
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import ENTERPRISE, PRICES, PRO, MakeStripe, RunningStripe

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = timedelta(seconds=300)


@pytest.fixture
def bought(stripe: RunningStripe) -> tuple[RunningStripe, UUID]:
    """Alice has bought, and nobody has heard of it."""
    alice = stripe.user()
    stripe.buy(alice, deliver=False)
    return stripe, alice


def event(stripe: RunningStripe, kind: str = "customer.subscription.updated", **changes: Any) -> bytes:
    [found] = [each for each in stripe.server.outbox.deliveries if each.kind == kind][-1:]
    return json.dumps({**found.event, **changes}).encode()


def signed(stripe: RunningStripe, body: bytes, **how: Any) -> str:
    return stripe.server.outbox.signature(body.decode(), **how)


def test_a_signed_event_is_stored_and_answered_before_it_is_applied(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    body = event(stripe)
    answer = stripe.send(body, signed(stripe, body))

    assert (answer.status_code, answer.get_json()) == (200, {"received": True})
    [stored] = stripe.events()
    assert (stored["state"], stored["environment"]) == ("received", "test")
    named = {name: json.loads(body)["data"]["object"][name] for name in ("id", "object")}
    assert json.loads(bytes(stored["body"]))["data"] == {"object": named}
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.work() == 1
    assert stripe.tier(alice) is Tier.PRO


def test_nothing_is_asked_of_stripe_while_it_waits(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, _ = bought
    before = len(stripe.server.seen)
    body = event(stripe)
    stripe.send(body, signed(stripe, body))

    assert len(stripe.server.seen) == before


def forged(stripe: RunningStripe, how: str) -> tuple[bytes, str | None]:
    body = event(stripe)
    good = signed(stripe, body)
    old = signed(stripe, body, at=stripe.clock() - timedelta(days=3))
    return {
        "one byte changed": (body.replace(b"active", b"actiVe"), good),
        "reformatted": (json.dumps(json.loads(body), indent=1).encode(), good),
        "no header": (body, None),
        "empty header": (body, ""),
        "another secret": (body, signed(stripe, body, secret="whsec_other")),
        "too old": (body, signed(stripe, body, at=stripe.clock() - TOLERANCE - timedelta(seconds=1))),
        "from the future": (body, signed(stripe, body, at=stripe.clock() + TOLERANCE + timedelta(seconds=1))),
        "another scheme": (body, good.replace("v1=", "v0=")),
        "no time": (body, good.partition(",")[2]),
        "no number": (body, "t=now," + good.partition(",")[2]),
        "a second time": (body, f"{old},t={int(stripe.clock().timestamp())}"),
        "the same time twice": (body, f"{good},{good.partition(',')[0]}"),
        "a second time that is no number": (body, good + ",t=x"),
        "not ASCII": (body, good + ",v1=é"),
        "endless": (body, good + ",v1=" + "0" * 5000),
        "not UTF-8": (b"\xff" + body, good),
        "an empty body": (b"", good),
    }[how]


UNREADABLE, MISMATCH = "the Stripe-Signature header could not be read", "the signature does not match the body"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("one byte changed", MISMATCH),
        ("reformatted", MISMATCH),
        ("no header", "the Stripe-Signature header is missing"),
        ("empty header", "the Stripe-Signature header is missing"),
        ("another secret", MISMATCH),
        ("too old", "it was signed 301 seconds ago"),
        ("from the future", "it was signed 301 seconds in the future"),
        ("another scheme", MISMATCH),
        ("no time", UNREADABLE),
        ("no number", UNREADABLE),
        ("a second time", UNREADABLE),
        ("the same time twice", UNREADABLE),
        ("a second time that is no number", UNREADABLE),
        ("not ASCII", UNREADABLE),
        ("endless", UNREADABLE),
        ("not UTF-8", "the body is not UTF-8"),
        ("an empty body", MISMATCH),
    ],
)
def test_what_is_not_authentic_is_stored_nowhere_and_the_cause_is_said(
    bought: tuple[RunningStripe, UUID], how: str, reason: str
) -> None:
    stripe, _ = bought
    body, signature = forged(stripe, how)
    with capture_logs() as logs:
        answer = stripe.send(body, signature)

    assert (answer.status_code, answer.get_json()["error"]) == (400, "signature_not_valid")
    assert reason in answer.get_json()["detail"]
    [line] = [line for line in logs if line["event"] == "stripe_event_refused"]
    assert line["reason"].startswith(reason)
    for secret in (stripe.server.webhook_secret, *(signature or "none").split("v1=")[1:]):
        assert secret not in answer.text + json.dumps(line)
    assert stripe.events() == []


THIN = {"object": "v2.core.event", "id": "evt_1", "type": "v1.invoice.paid", "livemode": False}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (json.dumps(THIN).encode(), "This is a thin event."),
        (b'{"object":"charge"}', "This is not an event"),
        (b"hello", "This is not an event"),
        (b"[]", "This is not an event"),
        (b'{"object":"event","id":5,"type":"invoice.paid","livemode":false}', "The id or the type"),
        (b'{"object":"event","id":"evt_\\u0000","type":"invoice.paid","livemode":false}', "The id or the type"),
    ],
    ids=["thin", "a charge", "no JSON", "a list", "an id that is a number", "an id with a NUL"],
)
def test_what_is_signed_and_cannot_be_applied_is_refused_with_the_way_out(
    stripe: RunningStripe, body: bytes, reason: str
) -> None:
    """With 200 every delivery would look well at Stripe, while nobody who pays gets anything."""
    with capture_logs() as logs:
        answer = stripe.send(body, signed(stripe, body))

    assert (answer.status_code, answer.get_json()["error"]) == (400, "event_not_supported")
    assert answer.get_json()["detail"].startswith(reason)
    told = [(line["event"], line["log_level"]) for line in logs if line["log_level"] != "debug"]
    assert told == [("stripe_event_refused", "error")]
    assert stripe.events() == []


@pytest.mark.parametrize("by", [-TOLERANCE, TOLERANCE])
def test_five_minutes_are_tolerated_to_both_sides(bought: tuple[RunningStripe, UUID], by: timedelta) -> None:
    stripe, _ = bought
    body = event(stripe)

    assert stripe.send(body, signed(stripe, body, at=stripe.clock() + by)).status_code == 200


def test_a_body_that_is_too_large_is_not_read(stripe: RunningStripe) -> None:
    assert stripe.send(b"x" * (1024 * 1024 + 1), "t=1,v1=0").status_code == 413


def test_while_the_secret_is_changed_both_are_good(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(secrets=("whsec_new", "whsec_old"))
    stripe.buy(stripe.user(), deliver=False)
    body = event(stripe)

    assert stripe.send(body, signed(stripe, body, secret="whsec_old")).status_code == 200
    assert stripe.send(body, signed(stripe, body, secret="whsec_new")).status_code == 200
    assert stripe.send(body, signed(stripe, body, secret="whsec_older")).status_code == 400


def test_without_a_secret_there_is_no_endpoint(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(secrets=())

    assert stripe.send(b"{}", signed(stripe, b"{}")).status_code == 404


def test_the_same_event_many_times_at_once_has_one_effect(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    body = event(stripe)
    header = signed(stripe, body)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: stripe.send(body, header).status_code, range(50)))
        done = sum(threads.map(lambda _: stripe.work(), range(8)))

    assert set(answers) == {200}
    assert (len(stripe.events()), done) == (1, 1)
    assert stripe.ledger(alice) == [("free", "pro")]


KINDS = (
    "customer.subscription.created",
    "customer.subscription.updated",
    "invoice.paid",
    "checkout.session.completed",
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_any_order_leads_to_the_same_state(bought: tuple[RunningStripe, UUID], order: tuple[int, ...]) -> None:
    """Each event comes twice: once more when all have come, from the last to the first."""
    stripe, alice = bought
    for number in (*order, *reversed(order)):
        body = event(stripe, KINDS[number])
        assert stripe.send(body, signed(stripe, body)).status_code == 200
        stripe.work()

    assert [row["state"] for row in stripe.events()] == ["done"] * len(KINDS)
    [row] = stripe.subscriptions()
    assert (row["status"], row["provider_status"], row["tier"]) == ("active", "active", "pro")
    assert stripe.ledger(alice) == [("free", "pro")]
    assert stripe.query("SELECT state FROM checkout_intents WHERE kind = 'checkout'")[0].state == "done"


def test_every_event_twice_is_as_good_as_once(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    stripe.server.outbox.copies = 2
    stripe.deliver()

    assert stripe.ledger(alice) == [("free", "pro")]
    assert {row["state"] for row in stripe.events()} <= {"done", "ignored"}


def test_what_stripe_says_now_counts_and_not_what_the_event_said(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    said_active = event(stripe)
    with stripe.app.app_context():
        stripe.rules.handler.cancel_subscription(stripe.latest("subscription")["id"])
    stripe.send(said_active, signed(stripe, said_active))
    stripe.work()

    assert stripe.subscriptions()[0]["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.ledger(alice) == []


def test_an_older_answer_does_not_overwrite_a_newer_one(bought: tuple[RunningStripe, UUID]) -> None:
    """Two workers ask one after the other and write in the other order."""
    from payments.stripe.refresh import apply_fetched, fetch

    stripe, alice = bought
    subscription_id = stripe.latest("subscription")["id"]
    with stripe.app.app_context():
        early = fetch(stripe.rules, subscription_id)
        stripe.rules.handler.cancel_subscription(subscription_id)
        late = fetch(stripe.rules, subscription_id)
        assert early is not None
        assert late is not None
        apply_fetched(stripe.rules, late, "late")
        apply_fetched(stripe.rules, early, "early")

    assert stripe.subscriptions()[0]["status"] == "canceled"
    assert stripe.tier(alice) is Tier.FREE


def test_when_stripe_cannot_be_asked_the_event_waits(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    body = event(stripe)
    stripe.server.faults.add(Trouble.SERVER_ERROR, times=3)
    assert stripe.send(body, signed(stripe, body)).status_code == 200
    stripe.work()
    [waiting] = stripe.events()
    assert (waiting["state"], waiting["attempts"], waiting["last_error"]) == ("received", 1, "StripeUnavailable")

    stripe.server.advance(timedelta(seconds=16))
    assert stripe.run_job("sweep_billing_events") == 1
    stripe.work()
    assert stripe.tier(alice) is Tier.PRO


def test_an_event_that_never_works_is_given_up_visibly(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, _ = bought
    body = event(stripe)
    stripe.send(body, signed(stripe, body))
    stripe.server.faults.add(Trouble.RATE_LIMIT, times=MOST_ATTEMPTS)
    for _ in range(MOST_ATTEMPTS):
        stripe.work()
        stripe.server.advance(timedelta(hours=6))
        stripe.run_job("sweep_billing_events")

    assert stripe.events()[0]["state"] == "dead"
    assert "StripeOutOfReach" in stripe.cli("events", "--dead").output


@pytest.mark.parametrize("livemode", [True, False])
def test_an_event_of_the_other_mode_grants_nothing(make_stripe: MakeStripe, livemode: bool) -> None:
    stripe = make_stripe(livemode=livemode)
    alice = stripe.user()
    stripe.buy(alice, deliver=False)
    body = event(stripe, livemode=not livemode)
    assert stripe.send(body, signed(stripe, body)).status_code == 200
    stripe.work()

    assert stripe.events()[0]["state"] == "ignored"
    assert stripe.counted("stripe_other_mode") == 1
    assert stripe.tier(alice) is Tier.FREE


def test_an_event_of_another_version_is_applied_and_counted(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    body = event(stripe, api_version="2024-06-20")
    stripe.send(body, signed(stripe, body))
    stripe.work()

    assert stripe.tier(alice) is Tier.PRO
    assert stripe.counted("stripe_event_of_another_version") == 1


def test_events_of_another_version_do_not_wait_for_each_other(bought: tuple[RunningStripe, UUID]) -> None:
    """One row that each of them writes would let one worker at a time through."""
    stripe, _ = bought
    body = event(stripe, api_version="2024-06-20")
    stripe.send(body, signed(stripe, body))
    stripe.work()
    with stripe.app.app_context(), db.engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM billing_counts FOR UPDATE"))
        another = event(stripe, "invoice.paid", api_version="2024-06-20")
        stripe.send(another, signed(stripe, another))
        assert stripe.work() == 1
    assert stripe.counted("stripe_event_of_another_version") == 1

    stripe.server.advance(timedelta(hours=1))
    third = event(stripe, "checkout.session.completed", api_version="2024-06-20")
    stripe.send(third, signed(stripe, third))
    stripe.work()
    assert stripe.counted("stripe_event_of_another_version") == 2


def test_another_customer_of_the_account_is_ignored(stripe: RunningStripe) -> None:
    stripe.user()
    stranger = stripe.server.customers.add(email="stranger@example.com")["id"]
    price = stripe.server.books.get("price", "price_pro_monthly")
    stripe.server.subscriptions.begin(stranger, price, card=None, metadata={})
    stripe.deliver()

    assert stripe.subscriptions() == []
    assert stripe.counted("stripe_unknown_customer") > 0
    assert {row["state"] for row in stripe.events()} == {"ignored"}


def test_another_product_of_the_account_is_ignored(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    stripe.server.catalogue.add_product("prod_hat", "Hat club")
    hat = stripe.server.catalogue.add_price("prod_hat", 500, "usd", "month")
    stripe.server.subscriptions.begin(stripe.customer_of(alice), hat, card=None, metadata={"tier": "enterprise"})
    stripe.deliver()

    assert [row["tier"] for row in stripe.subscriptions()] == ["pro"]
    assert stripe.counted("stripe_unknown_price") > 0
    assert stripe.tier(alice) is Tier.PRO


def test_when_the_table_of_prices_is_repaired_what_was_ignored_is_applied(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices=f"{ENTERPRISE}:enterprise:monthly")
    alice = stripe.user()
    assert stripe.checkout(alice, "enterprise").status_code == 200
    price = stripe.server.books.get("price", PRO)
    stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=Card.GOOD, metadata={})
    stripe.deliver()
    assert stripe.tier(alice) is Tier.FREE
    ignored = sum(row["last_error"] == "unknown price" for row in stripe.events())

    rules = replace(stripe.rules, prices=ProductTable.read(PRICES))
    inbox = replace(stripe.payments.inbox, handlers={Provider.STRIPE: stripe_events(rules)})
    stripe.payments = replace(stripe.payments, inbox=inbox)
    assert stripe.cli("replay", "--ignored", "--reason", "unknown price").output.startswith(f"{ignored} queued again")
    stripe.work()

    assert stripe.tier(alice) is Tier.PRO
    assert "unknown price" not in {row["last_error"] for row in stripe.events()}


def test_a_type_that_is_not_needed_is_stored_and_ignored(stripe: RunningStripe) -> None:
    stripe.server.outbox.wants = lambda kind: True
    stripe.server.customers.add(email="stranger@example.com")
    stripe.deliver()

    assert [(row["kind"], row["state"]) for row in stripe.events()] == [("customer.created", "ignored")]


def test_the_types_that_are_applied_are_those_of_the_docs_and_stripe_has_them() -> None:
    """Whole types: relatives such as `invoice.upcoming` are of objects that do not exist yet."""
    table = (ROOT / "docs/payments.md").read_text().partition("| subscribe to |")[2].partition("\n\n")[0]
    listed: set[str] = set()
    for row in table.splitlines()[2:]:
        names = re.findall(r"`([a-z_.]+)`", row.split("|")[1])
        listed |= {names[0].rpartition(".")[0] + name if name.startswith(".") else name for name in names}

    assert listed == set(HANDLERS)
    assert set(HANDLERS) <= set(get_args(get_type_hints(stripe_library.Event)["type"]))


def invoice_event(stripe: RunningStripe, kind: str, **invoice: Any) -> bytes:
    document = event(stripe, "invoice.paid")
    changed = json.loads(document)
    changed["data"]["object"].update(invoice)
    for name in [name for name, value in invoice.items() if value is None]:
        del changed["data"]["object"][name]
    return json.dumps({**changed, "type": kind}).encode()


@pytest.mark.parametrize(
    ("kind", "older", "one_off", "outcome"),
    [
        ("invoice.paid", False, False, ("done", None)),
        ("invoice.paid", True, False, ("done", None)),
        ("invoice.paid", False, True, ("ignored", "not of a subscription")),
        ("invoice.upcoming", False, False, ("ignored", "not needed")),
        ("invoice.upcoming", True, False, ("ignored", "not needed")),
        ("invoice.upcoming", False, True, ("ignored", "not needed")),
    ],
)
def test_an_invoice_is_understood_in_every_shape(
    bought: tuple[RunningStripe, UUID], kind: str, older: bool, one_off: bool, outcome: tuple[str, str | None]
) -> None:
    """`older`: as before 2025-03-31.basil, with the subscription at the top. A coming invoice has no id."""
    stripe, alice = bought
    shape: dict[str, Any] = {"id": None} if kind == "invoice.upcoming" else {}
    if older or one_off:
        shape["parent"] = None
    if older:
        shape["subscription"] = stripe.latest("subscription")["id"]
    body = invoice_event(stripe, kind, **shape)
    if one_off:
        stripe.latest("invoice")["parent"] = None
    assert stripe.send(body, signed(stripe, body)).status_code == 200
    stripe.work()

    [row] = stripe.events()
    assert (row["state"], row["last_error"]) == outcome
    assert stripe.tier(alice) is (Tier.PRO if outcome[0] == "done" else Tier.FREE)


def test_an_object_that_is_gone_is_ignored(bought: tuple[RunningStripe, UUID]) -> None:
    stripe, alice = bought
    body = event(stripe)
    del stripe.server.books.objects[stripe.latest("subscription")["id"]]
    stripe.send(body, signed(stripe, body))
    stripe.work()

    assert stripe.events()[0]["state"] == "ignored"
    assert stripe.counted("stripe_missing") == 1
    assert stripe.tier(alice) is Tier.FREE


def test_a_fraud_warning_is_counted_for_a_person(stripe: RunningStripe) -> None:
    warning = {"id": "issfr_1", "object": "radar.early_fraud_warning", "charge": "ch_1"}
    document = {
        "id": "evt_1",
        "object": "event",
        "type": "radar.early_fraud_warning.created",
        "livemode": False,
        "api_version": stripe.rules.handler.api_version,
        "data": {"object": warning},
    }
    body = json.dumps(document).encode()
    stripe.send(body, signed(stripe, body))
    stripe.work()

    assert stripe.counted("stripe_early_fraud_warning") == 1


@contextmanager
def every_word(capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    words: list[str] = []
    yield words
    captured = capsys.readouterr()
    words += [captured.out, captured.err]


def test_no_secret_is_in_an_answer_a_log_or_a_table(
    bought: tuple[RunningStripe, UUID], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    stripe, alice = bought
    caplog.set_level(logging.DEBUG)
    stripe.item()
    with every_word(capsys) as words:
        stripe.deliver()
        assert stripe.post("/stripe/create-intent", {"item": "pass"}, alice).get_json()["client_secret"]
        stripe.server.switch_mode("sk_test_changed")
        words.append(stripe.act(alice, "cancel").text)
    words.append(caplog.text)
    words.append(json.dumps([row["last_error"] for row in stripe.events()]))
    # Its lines at DEBUG are whole bodies. Which loggers a test still has depends on the tests before it.
    assert not logging.getLogger("stripe").isEnabledFor(logging.INFO)
    for secret in (stripe.rules.handler.address.api_key, stripe.server.webhook_secret, "_secret_", "alice@"):
        assert secret not in "".join(words)


def test_who_the_buyer_is_is_not_stored(bought: tuple[RunningStripe, UUID]) -> None:
    """An account that goes would else leave its owner's name and addresses behind, in events that are kept for half a year."""
    stripe, alice = bought
    buyer = {"name": "Alice Buyer", "email": "alice@buyer.example", "address": {"line1": "1 Buyer Street"}}
    body = invoice_event(
        stripe, "invoice.paid", customer_name=buyer["name"], customer_email=buyer["email"], buyer=buyer
    )
    assert stripe.send(body, signed(stripe, body)).status_code == 200
    [stored] = stripe.events()
    assert b"buyer" not in bytes(stored["body"]).lower()
    stripe.work()
    assert stripe.tier(alice) is Tier.PRO


def test_a_new_tier_locks_and_writes_the_users_row_once(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice, deliver=False)
    statements: list[str] = []
    with stripe.app.app_context():
        listen(db.engine, "before_cursor_execute", lambda *about: statements.append(" ".join(about[2].split())))
    stripe.deliver()

    assert stripe.ledger(alice) == [("free", "pro")]
    locked = [each for each in statements if "FROM users" in each and "FOR NO KEY UPDATE" in each]
    recorded = [each for each in statements if each.startswith("INSERT INTO subscriptions")]
    assert len(locked) == len(recorded) > 0
    assert sum(each.startswith("UPDATE users") for each in statements) == 1
