"""POST /controls/<action>: for a person or another process, what a test does by calling the stand-in's methods.

docs/payments.md lists them.
"""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.http_listener import Reply, Request
from sandbox.stripe_server.billing.subscriptions import DAY
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.protocol.refusals import Refused
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.webhooks.event_outbox import Order

if TYPE_CHECKING:
    from sandbox.stripe_server.server import StripeServer

Fields = Mapping[str, Any]


class Controls:
    def __init__(self, server: "StripeServer") -> None:
        self._server = server
        self._books = server.books
        self._actions: dict[str, Callable[[Fields], Object]] = {
            "advance": self._advance,
            "switch-mode": self._switch_mode,
            # What a customer or their bank does.
            "set-card": self._set_card,
            "settle-checkout": self._settle_checkout,
            "settle-invoice": self._settle_invoice,
            "pay-invoice": self._pay_invoice,
            "authenticate-payment": self._authenticate,
            "pay-late": self._pay_late,
            "dispute": lambda fields: server.refunds.dispute(
                self._charge(fields), inquiry=fields.get("inquiry") is True
            ),
            "close-dispute": self._close_dispute,
            # What somebody does in the dashboard.
            "subscribe": self._subscribe,
            "change-price": self._change_price,
            "cancel-at": self._cancel_at,
            "discount": self._discount,
            "credit": self._credit,
            "delete-customer": self._delete_customer,
            "refuse-email": self._refuse_email,
            "archive-price": self._archive_price,
            "add-price": self._add_price,
            "refund": lambda fields: server.refunds.refund(self._charge(fields), fields.get("amount")),
            "fail-refund": self._fail_refund,
            # How the API and the webhooks behave.
            "fault": self._fault,
            "delivery": self._delivery,
            "drop-events": self._drop,
            "lose-events": self._lose,
            "resend": lambda fields: {"status": server.outbox.resend(fields["event"])},
            "send-thin": lambda fields: {"status": server.outbox.send_thin(fields["event"])},
            "upcoming-invoice": self._upcoming_invoice,
        }

    def answer(self, request: Request) -> Reply:
        action = self._actions.get(request.path.removeprefix("/controls/"))
        if action is None or request.method != "POST":
            return Reply(404, {"error": "no such control", "controls": sorted(self._actions)})
        try:
            with self._books.lock:
                return Reply(200, action(json.loads(request.body or b"{}")))
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as wrong:
            return Reply(400, {"error": f"missing or malformed: {wrong}"})
        except Refused as refused:
            return Reply(409, {"error": type(refused).__name__, "message": refused.message})

    def _named(self, kind: str, fields: Fields) -> Object:
        """The object whose id stands under the kind's own name."""
        return self._books.get(kind, fields[kind])

    def _charge(self, fields: Fields) -> Object:
        """By its id, or by the id of the invoice that it paid."""
        if "invoice" in fields:
            return self._server.invoices.charge_of(self._named("invoice", fields))
        return self._named("charge", fields)

    def _advance(self, fields: Fields) -> Object:
        self._server.advance(timedelta(days=float(fields.get("days", 0)), hours=float(fields.get("hours", 0))))
        return {"now": self._server.clock().isoformat()}

    def _switch_mode(self, fields: Fields) -> Object:
        self._server.switch_mode(fields["secret_key"])
        return {"livemode": self._books.livemode}

    def _set_card(self, fields: Fields) -> Object:
        customer, days = self._named("customer", fields), fields.get("expires_in_days")
        expires_at = None if days is None else self._books.now() + int(float(days) * DAY)
        self._books.put_on_file(customer["id"], Card(fields["card"]), expires_at)
        return {"customer": customer["id"], "card": fields["card"], "expires_at": expires_at}

    def _settle_checkout(self, fields: Fields) -> Object:
        session = self._books.get("checkout.session", fields["session"])
        self._server.checkout.settle(session, succeeded=fields.get("succeeded") is True)
        return session

    def _settle_invoice(self, fields: Fields) -> Object:
        invoice = self._named("invoice", fields)
        self._server.invoices.settle(invoice, succeeded=fields.get("succeeded") is True)
        return invoice

    def _pay_invoice(self, fields: Fields) -> Object:
        invoice = self._named("invoice", fields)
        self._server.invoices.pay(invoice, Card(fields.get("card", "good")))
        return invoice

    def _authenticate(self, fields: Fields) -> Object:
        intent = self._named("payment_intent", fields)
        self._server.payment_intents.authenticate(intent, passed=fields.get("passed") is True)
        return intent

    def _pay_late(self, fields: Fields) -> Object:
        intent = self._named("payment_intent", fields)
        self._server.payment_intents.pay_late(intent)
        return intent

    def _close_dispute(self, fields: Fields) -> Object:
        dispute = self._named("dispute", fields)
        self._server.refunds.close(dispute, fields["status"])
        return dispute

    def _subscribe(self, fields: Fields) -> Object:
        customer = self._server.customers.existing(fields["customer"])["id"]
        return self._server.subscriptions.begin(
            customer,
            self._server.catalogue.sold(fields["price"], "price"),
            card=self._books.card_of(customer, Card.GOOD),
            metadata={},
            quantity=int(fields.get("quantity", 1)),
        )

    def _change_price(self, fields: Fields) -> Object:
        """Another price, another quantity or both, with the difference charged at once."""
        subscription = self._server.subscriptions.running(fields["subscription"])
        item = subscription["items"]["data"][0]
        price = self._server.catalogue.sold(fields.get("price", item["price"]["id"]), "price")
        self._server.subscriptions.switch(subscription, price, quantity=fields.get("quantity"))
        return subscription

    def _cancel_at(self, fields: Fields) -> Object:
        subscription = self._server.subscriptions.running(fields["subscription"])
        self._server.subscriptions.cancel_at(subscription, self._books.now() + int(float(fields["in_days"]) * DAY))
        return subscription

    def _discount(self, fields: Fields) -> Object:
        """A coupon that is made for this subscription alone."""
        subscription = self._server.subscriptions.running(fields["subscription"])
        terms = {name: value for name, value in fields.items() if name != "subscription"}
        self._server.subscriptions.discount(subscription, [self._server.coupons.add(**terms)])
        return subscription

    def _credit(self, fields: Fields) -> Object:
        """The amount is the customer's from now on: it pays what comes next."""
        return self._server.customers.add_to_balance(self._named("customer", fields), -int(fields["amount"]))

    def _delete_customer(self, fields: Fields) -> Object:
        customer = self._server.customers.existing(fields["customer"])
        self._server.customers.delete(customer)
        return {"customer": customer["id"], "deleted": True}

    def _refuse_email(self, fields: Fields) -> Object:
        self._server.customers.refused_emails.add(fields["email"])
        return {"refused": sorted(self._server.customers.refused_emails)}

    def _archive_price(self, fields: Fields) -> Object:
        price = self._named("price", fields)
        price["active"] = False
        self._books.announce("price.updated", price, {**price, "active": True})
        return price

    def _add_price(self, fields: Fields) -> Object:
        product = self._named("product", fields)["id"]
        amount, currency = int(fields["amount"]), fields.get("currency", "usd")
        interval = fields.get("interval", "month")
        return self._server.catalogue.add_price(product, amount, currency, interval, price_id=fields.get("price"))

    def _fail_refund(self, fields: Fields) -> Object:
        refund = self._named("refund", fields)
        self._server.refunds.fail(refund)
        return refund

    def _fault(self, fields: Fields) -> Object:
        self._server.faults.add(
            Trouble(fields["trouble"]), times=int(fields.get("times", 1)), under=fields.get("under", "/v1/")
        )
        return {"trouble": fields["trouble"]}

    def _delivery(self, fields: Fields) -> Object:
        """What is not named stays as it is."""
        outbox = self._server.outbox
        outbox.copies = int(fields.get("copies", outbox.copies))
        outbox.at_once = int(fields.get("at_once", outbox.at_once))
        outbox.order = Order(fields.get("order", outbox.order))
        return {"copies": outbox.copies, "at_once": outbox.at_once, "order": outbox.order}

    def _drop(self, fields: Fields) -> Object:
        self._server.outbox.drop_next(int(fields.get("count", 1)))
        return {"dropped": int(fields.get("count", 1))}

    def _lose(self, fields: Fields) -> Object:
        """Every event from now on, until it is switched off."""
        self._server.outbox.losing = fields["losing"] is True
        return {"losing": self._server.outbox.losing}

    def _upcoming_invoice(self, fields: Fields) -> Object:
        invoices, older = self._server.invoices, fields.get("older") is True
        if "subscription" in fields:
            return invoices.announce_upcoming(self._named("subscription", fields), older=older)
        customer = self._named("customer", fields)["id"]
        return invoices.announce_upcoming_one_off(customer, int(fields.get("amount", 500)), "usd", older=older)
