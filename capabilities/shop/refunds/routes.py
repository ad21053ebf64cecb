"""`/api/shop/orders/{id}/refunds`: money of an order goes back to its buyer."""

from dataclasses import replace
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Principal, Role
from capabilities.shop.once import KEY_PROBLEMS, REPLAYED
from capabilities.shop.orders.payment_status import PaymentDisputed
from capabilities.shop.refunds.bodies import RefundAnswer, RefundBody
from capabilities.shop.refunds.give_refund import OPERATION, give_refund
from capabilities.shop.refunds.read import read_refund
from capabilities.shop.refunds.request_refund import NothingToRefund, RefundTooLarge
from capabilities.shop.rules import ShopRules
from metering.rate_limit_headers import METERED_HEADERS
from payments.stripe.problems import STRIPE_PROBLEMS
from security.api.operation import Answer, operation
from security.edge.problems import NotFound


def refund_routes(auth: Auth, rules: ShopRules) -> Blueprint:
    routes = Blueprint("refunds", __name__, url_prefix="/api/shop")

    @operation(
        routes,
        "POST",
        "/orders/<uuid:order_id>/refunds",
        operation_id=OPERATION,
        summary="Refund an order",
        guard=replace(auth.recently_signed_in, role=Role.ADMIN),
        body=RefundBody,
        answers={201: RefundAnswer},
        requires_idempotency_key=True,
        answer_headers={REPLAYED: METERED_HEADERS[REPLAYED]},
        problems=(NotFound, NothingToRefund, RefundTooLarge, PaymentDisputed, *STRIPE_PROBLEMS, *KEY_PROBLEMS),
    )
    def refund(caller: Principal, order_id: UUID, body: RefundBody, idempotency_key: str) -> Answer:
        """Only admins can do this. Refunds items of the order, or an amount, with the payment method that paid it. The refund is
        written down before Stripe is asked: after a 502 or 503, repeat the request with the same key, or wait, for it is then made
        in the background. Repeating never refunds twice, and shows the refund as it is now.
        """
        refund_id, headers = give_refund(rules, order_id, body.root, key=idempotency_key, by=caller.user_id)
        return Answer(201, read_refund(refund_id), headers)

    return routes
