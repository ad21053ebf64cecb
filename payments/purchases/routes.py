"""`/api/payments`: paying once for something, and what became of a payment."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint

from auth.principal import Principal
from payments.purchases.bodies import (
    ConfirmIntentBody,
    CreateIntentBody,
    ItemIntent,
    OpenPaymentAnswer,
    PaymentAnswer,
)
from payments.purchases.confirm import PaymentClosed, confirm_intent
from payments.purchases.create import AmountTooLarge, OutOfStock, PaymentOpen, create_intent, show_open_payment
from payments.purchases.items import item_purchase
from payments.purchases.orders import OrderNotPayable, order_purchase
from payments.purchases.read import read_payment
from payments.stripe.idempotency import KEY_PROBLEMS, REPLAYED_HEADER, once
from payments.stripe.problems import STRIPE_PROBLEMS, AmountTooSmall, CardDeclined
from payments.stripe.rules import StripeRules
from security.api.models import Body
from security.api.operation import Answer, Guard, operation
from security.edge.problems import NotFound


def pay_once(
    rules: StripeRules,
    user_id: UUID,
    operation_id: str,
    *,
    key: str | None,
    body: Body,
    make: Callable[[], OpenPaymentAnswer],
) -> Answer:
    """The id alone is kept: a client secret is stored nowhere."""
    return once(
        user_id,
        operation_id,
        key,
        body,
        make,
        kept=lambda made: str(made.id),
        again=lambda payment_id: show_open_payment(rules, UUID(payment_id)),
    )


def add_purchases(routes: Blueprint, rules: StripeRules, owner: Guard) -> None:
    @operation(
        routes,
        "POST",
        "/stripe/create-intent",
        operation_id="createPayment",
        summary="Begin a one-off payment",
        guard=owner,
        body=CreateIntentBody,
        answers={200: OpenPaymentAnswer},
        accepts_idempotency_key=True,
        answer_headers=REPLAYED_HEADER,
        problems=(
            NotFound,
            OutOfStock,
            PaymentOpen,
            AmountTooLarge,
            AmountTooSmall,
            OrderNotPayable,
            PaymentClosed,
            *STRIPE_PROBLEMS,
            *KEY_PROBLEMS,
        ),
    )
    def order(caller: Principal, body: CreateIntentBody, idempotency_key: str | None) -> Answer:
        """Pays for an item, which it reserves for half an hour, or for an order of the shop, as long as the order waits for its
        payment. The server sets the price. If you ask again while the payment is open, you get the same payment. With an
        `Idempotency-Key`, you also get it after it was paid, with its current status.
        """
        wanted = body.root
        return pay_once(
            rules,
            caller.user_id,
            "createPayment",
            key=idempotency_key,
            body=wanted,
            make=lambda: create_intent(
                rules,
                caller.user_id,
                (
                    item_purchase(wanted.item, wanted.quantity)
                    if isinstance(wanted, ItemIntent)
                    else order_purchase(rules, wanted.order_id)
                ),
            ),
        )

    @operation(
        routes,
        "POST",
        "/stripe/confirm",
        operation_id="confirmPayment",
        summary="Confirm an open payment",
        guard=owner,
        body=ConfirmIntentBody,
        answers={200: OpenPaymentAnswer},
        accepts_idempotency_key=True,
        answer_headers=REPLAYED_HEADER,
        problems=(NotFound, PaymentClosed, OrderNotPayable, CardDeclined, *STRIPE_PROBLEMS, *KEY_PROBLEMS),
    )
    def confirm(caller: Principal, body: ConfirmIntentBody, idempotency_key: str | None) -> Answer:
        """Pays with a payment method that Stripe's library created on the buyer's device. After `action_required`, the library
        continues with `client_secret`. After a decline, try another method.
        """
        return pay_once(
            rules,
            caller.user_id,
            "confirmPayment",
            key=idempotency_key,
            body=body,
            make=lambda: confirm_intent(rules, caller.user_id, body.payment_id, body.payment_method),
        )

    @operation(
        routes,
        "GET",
        "/<uuid:payment_id>",
        operation_id="getPayment",
        summary="Get one of your payments",
        guard=owner,
        answers={200: PaymentAnswer},
        problems=(NotFound, *STRIPE_PROBLEMS),
    )
    def payment(caller: Principal, payment_id: UUID) -> Answer:
        """The status of a checkout or a one-off payment. While it is open, the status is fetched from Stripe at most every
        two seconds.
        """
        return Answer(200, read_payment(rules, caller.user_id, payment_id))
