"""A second kind of purchase: seats of a show, with a table of their own. Nothing of payments knows of it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from database import transaction
from metering.purchase import KnownRefund, Price, Purchase, PurchaseKindOff, Purchases, RefundRefused
from payments.apply_stripe_event import stripe_events
from payments.personal_data import export_payments
from payments.purchases.bodies import OpenPaymentAnswer
from payments.purchases.create import OutOfStock, create_intent
from payments.purchases.items import Items
from payments.purchases.read import read_payment
from payments.subscriptions.status import Provider
from security.edge.problems import NotFound, Problem
from tests.databases import MigratedDatabases
from tests.payments.stripe_app import MakeStripe, RunningStripe

GOOD = "pm_card_visa"
RESERVED = timedelta(minutes=30)


class SoldToAnother(Problem):
    status, error, title = 409, "sold_to_another", "This seat was sold to somebody else"


class Seats:
    """Each is sold to the one user it was made for."""

    kind = "seat"

    def __init__(self) -> None:
        self.told: list[Sequence[KnownRefund]] = []

    def price(self, session: Session, user_id: UUID, purchase: Purchase) -> Price:
        row = session.execute(
            text("SELECT price FROM seats WHERE id = :id AND buyer = :buyer"), {"id": purchase.id, "buyer": user_id}
        ).one_or_none()
        if row is None:
            raise NotFound
        return Price(row.price * purchase.quantity, "eur")

    def refuse_late(self, session: Session, purchase: Purchase) -> None:
        row = session.execute(text("SELECT state FROM seats WHERE id = :id"), {"id": purchase.id}).one()
        if row.state == "sold to another":
            raise SoldToAnother

    def reserve(self, session: Session, purchase: Purchase) -> bool:
        assert purchase.payment_id is not None
        return self._move(session, purchase, "free", "reserved")

    def release(self, session: Session, purchase: Purchase) -> None:
        assert self._move(session, purchase, "reserved", "free")

    def paid(self, session: Session, purchase: Purchase, now: datetime) -> None:
        assert self._move(session, purchase, "reserved", "taken") or self._move(
            session, purchase, "given back", "taken"
        )

    def given_back(self, session: Session, purchase: Purchase, now: datetime) -> None:
        assert self._move(session, purchase, "taken", "given back")

    def refunded(self, session: Session, purchase: Purchase, refunds: Sequence[KnownRefund], now: datetime) -> None:
        self.told.append(refunds)

    def _move(self, session: Session, purchase: Purchase, before: str, after: str) -> bool:
        moved = session.execute(
            text("UPDATE seats SET state = :after WHERE id = :id AND state = :before RETURNING id"),
            {"id": purchase.id, "before": before, "after": after},
        )
        return moved.first() is not None


@pytest.fixture(scope="module")
def databases_with_seats(postgres_server: str, migrated_template: str) -> Iterator[MigratedDatabases]:
    seats = "CREATE TABLE seats (id uuid PRIMARY KEY, buyer uuid, price int, state text)"
    with closing(MigratedDatabases(postgres_server, migrated_template, seats)) as databases:
        yield databases


@pytest.fixture
def database_url(databases_with_seats: MigratedDatabases) -> Iterator[str]:
    with databases_with_seats.kept() as url:
        yield url


@pytest.fixture
def seats() -> Seats:
    return Seats()


@pytest.fixture
def stripe(make_stripe: MakeStripe, seats: Seats) -> RunningStripe:
    kinds: tuple[Purchases, ...] = (seats,)
    return make_stripe(purchases=kinds)


@dataclass
class Seat:
    stripe: RunningStripe
    buyer: UUID
    purchase: Purchase

    @property
    def state(self) -> str:
        return str(self.stripe.query("SELECT state FROM seats WHERE id = :id", id=self.purchase.id)[0].state)

    def order(self, buyer: UUID | None = None) -> OpenPaymentAnswer:
        """As the routes of the capability that sells seats would."""
        with self.stripe.app.app_context():
            return create_intent(self.stripe.rules, buyer or self.buyer, self.purchase)

    def confirm(self, payment: UUID) -> str:
        answer = self.stripe.post("/stripe/confirm", {"payment_id": str(payment), "payment_method": GOOD}, self.buyer)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["status"])

    def pay(self) -> UUID:
        payment = self.order()
        assert self.confirm(payment.id) == "succeeded"
        self.stripe.deliver()
        return payment.id

    def shown(self, payment: UUID) -> str:
        return str(self.stripe.get(f"/{payment}", self.buyer).get_json()["status"])

    def pay_at_stripe(self) -> None:
        """On the buyer's device; we are told later."""
        with self.stripe.app.app_context():
            self.stripe.rules.handler.confirm_intent(self.stripe.latest("payment_intent")["id"], GOOD)


@pytest.fixture
def seat(stripe: RunningStripe) -> Seat:
    made = Seat(stripe, stripe.user(), Purchase("seat", uuid4()))
    stripe.query("INSERT INTO seats VALUES (:id, :buyer, 700, 'free')", id=made.purchase.id, buyer=made.buyer)
    return made


def test_its_price_is_asked_and_it_is_set_aside_once(seat: Seat) -> None:
    first, second = seat.order(), seat.order()

    assert (first.amount, first.currency, first.status.value) == (700, "eur", "pending")
    assert (first.id, seat.state) == (second.id, "reserved")
    row = seat.stripe.query("SELECT purchase_kind, purchase_id FROM payments")[0]
    assert tuple(row) == ("seat", seat.purchase.id)


def test_what_it_does_not_sell_to_a_user_is_not_found(seat: Seat) -> None:
    with pytest.raises(NotFound):
        seat.order(seat.stripe.user("mallory"))
    assert seat.state == "free"


def test_what_is_gone_is_out_of_stock(seat: Seat) -> None:
    seat.stripe.query("UPDATE seats SET state = 'taken'")
    with pytest.raises(OutOfStock):
        seat.order()


def test_it_is_told_of_the_money_once(seat: Seat) -> None:
    payment = seat.pay()

    assert (seat.state, seat.shown(payment)) == ("taken", "succeeded")
    assert seat.stripe.get(f"/{payment}", seat.buyer).get_json()["item"] is None


def test_money_that_went_back_and_came_again(seat: Seat) -> None:
    payment = seat.pay()
    seat.stripe.server.refunds.refund(seat.stripe.latest("charge"))
    seat.stripe.deliver()
    assert (seat.state, seat.shown(payment)) == ("given back", "refunded")

    refund, charge = seat.stripe.latest("refund"), seat.stripe.latest("charge")
    refund["status"] = "failed"
    charge.update(amount_refunded=0, refunded=False)
    seat.stripe.server.books.announce("refund.failed", refund)
    seat.stripe.deliver()
    assert (seat.state, seat.shown(payment)) == ("taken", "succeeded")


def test_the_release_job_lets_go_of_it(seat: Seat) -> None:
    payment = seat.order()
    seat.stripe.server.advance(RESERVED)

    assert seat.stripe.run_job("release_reservations") == 1
    assert (seat.state, seat.shown(payment.id)) == ("free", "canceled")


@pytest.mark.parametrize(
    ("left", "status", "state"), [(True, "succeeded", "taken"), (False, "refunded", "sold to another")]
)
def test_money_that_comes_too_late(seat: Seat, left: bool, status: str, state: str) -> None:
    payment = seat.order()
    seat.stripe.query("UPDATE payments SET status = 'canceled'")
    seat.stripe.query("UPDATE seats SET state = :state", state="free" if left else "sold to another")
    seat.pay_at_stripe()
    seat.stripe.deliver()

    assert (seat.shown(payment.id), seat.state) == (status, state)


def test_a_payment_that_comes_too_late_is_not_tried(seat: Seat) -> None:
    payment = seat.order()
    seat.stripe.query("UPDATE seats SET state = 'sold to another'")
    body = {"payment_id": str(payment.id), "payment_method": GOOD}
    answer = seat.stripe.post("/stripe/confirm", body, seat.buyer)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "sold_to_another")
    assert seat.stripe.latest("payment_intent")["status"] == "requires_payment_method"


def test_it_is_refunded_in_parts_and_told_of_each(seat: Seat, seats: Seats) -> None:
    payment = seat.pay()
    one_off = seat.stripe.payments.one_off
    with seat.stripe.app.app_context():
        for key, amount in (("seat:1", 200), ("seat:2", 500), ("seat:1", 200)):
            one_off.refund(payment, amount, key)
        with pytest.raises(RefundRefused):
            one_off.refund(payment, 1, "seat:3")

    assert {(each.key, each.amount, each.failed) for each in seats.told[-1]} == {
        ("seat:1", 200, False),
        ("seat:2", 500, False),
    }
    body = seat.stripe.get(f"/{payment}", seat.buyer).get_json()
    assert (body["status"], body["refunded_amount"], seat.state) == ("refunded", 700, "given back")


def test_reconciling_finds_what_nobody_told(seat: Seat) -> None:
    seat.order()
    seat.pay_at_stripe()
    seat.stripe.server.outbox.forget_pending()
    seat.stripe.server.advance(timedelta(minutes=11))
    seat.stripe.cli("reconcile")

    assert seat.state == "taken"


def test_both_kinds_are_paid_side_by_side_and_exported(seat: Seat) -> None:
    seat.stripe.item(stock=1)
    assert seat.stripe.post("/stripe/create-intent", {"item": "pass"}, seat.buyer).status_code == 200
    seat.order()

    with seat.stripe.app.app_context(), transaction() as session:
        exported = export_payments(session, seat.buyer)["payments"]
    assert [(each["purchase_kind"], each["amount"]) for each in exported] == [("item", 1500), ("seat", 700)]


def test_while_a_kind_is_switched_off_its_payments_wait(seat: Seat) -> None:
    """A process that cannot say what was bought neither hands it over nor gives the money back."""
    payment, stripe = seat.order(), seat.stripe
    seat.pay_at_stripe()
    payments, off = stripe.payments, replace(stripe.rules, purchases=lambda: (Items(),))
    stripe.payments = replace(payments, inbox=replace(payments.inbox, handlers={Provider.STRIPE: stripe_events(off)}))
    stripe.deliver()

    assert ("received", "PurchaseKindOff") in {(row["state"], row["last_error"]) for row in stripe.events()}
    with stripe.app.app_context(), pytest.raises(PurchaseKindOff) as refusal:
        read_payment(off, seat.buyer, payment.id)
    assert (refusal.value.status, seat.state) == (503, "reserved")

    stripe.payments = payments
    stripe.cli("replay", *(part for row in stripe.events() for part in ("--event", str(row["id"]))))
    stripe.work()
    assert (seat.shown(payment.id), seat.state) == ("succeeded", "taken")
