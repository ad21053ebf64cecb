"""The fields of Stripe's objects, from the response classes of the installed `stripe` package.

An object that is made here has every field of that version and no other: what Stripe left out years ago, such as
`current_period_end` on a subscription, cannot come back.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import NoneType
from typing import Any, get_args

Object = dict[str, Any]

CLASSES: Mapping[str, str] = {
    "billing_portal.session": "billing_portal._session.Session",
    "charge": "_charge.Charge",
    "checkout.session": "checkout._session.Session",
    "coupon": "_coupon.Coupon",
    "customer": "_customer.Customer",
    "customer_balance_transaction": "_customer_balance_transaction.CustomerBalanceTransaction",
    "discount": "_discount.Discount",
    "dispute": "_dispute.Dispute",
    "event": "_event.Event",
    "invoice": "_invoice.Invoice",
    "invoice_payment": "_invoice_payment.InvoicePayment",
    "line_item": "_invoice_line_item.InvoiceLineItem",
    "payment_intent": "_payment_intent.PaymentIntent",
    "plan": "_plan.Plan",
    "price": "_price.Price",
    "product": "_product.Product",
    "refund": "_refund.Refund",
    "subscription": "_subscription.Subscription",
    "subscription_item": "_subscription_item.SubscriptionItem",
    "subscription_schedule": "_subscription_schedule.SubscriptionSchedule",
    "webhook_endpoint": "_webhook_endpoint.WebhookEndpoint",
}
ABSENT_UNLESS_SET = frozenset({"deleted"})
# Stripe sends these when the request asks for them by `expand`.
INCLUDED_ON_REQUEST = frozenset({"line_items", "payments", "refunds", "sources", "subscriptions", "tax_ids", "tiers"})


class WrongShape(Exception):
    """This stand-in made an object that Stripe would not send. The message says how it differs."""


def response_class(kind: str) -> Any:
    module, _, name = CLASSES[kind].rpartition(".")
    return getattr(import_module(f"stripe.{module}"), name)


@cache
def fields_of(kind: str) -> Mapping[str, bool]:
    """The name of each field, and whether it may be null."""
    return annotated(response_class(kind))


def annotated(of: Any) -> dict[str, bool]:
    return {
        name: NoneType in get_args(annotation)
        for name, annotation in of.__annotations__.items()
        if not name.startswith("_") and name != "OBJECT_NAME"
    }


def shaped(kind: str, **values: Any) -> Object:
    """An object with these values, and null for every other field that may be null. Raises WrongShape."""
    return filled(kind, fields_of(kind), {**values, "object": kind})


def part(kind: str, inner: str, **values: Any) -> Object:
    """As `shaped`, for a part of an object that has a class of its own: `part("invoice", "Parent", type=…)`."""
    nested = response_class(kind)
    for name in inner.split("."):
        nested = getattr(nested, name)
    return filled(f"{kind} {inner}", annotated(nested), values)


def filled(what: str, fields: Mapping[str, bool], values: Object) -> Object:
    if unknown := values.keys() - fields.keys():
        raise WrongShape(f"a {what} has no {', '.join(sorted(unknown))}")
    missing = {name for name, nullable in fields.items() if not nullable and name not in values}
    if missing:
        raise WrongShape(f"a {what} needs {', '.join(sorted(missing))}")
    left_out = ABSENT_UNLESS_SET | INCLUDED_ON_REQUEST
    return {name: values.get(name) for name in fields if name in values or name not in left_out}
