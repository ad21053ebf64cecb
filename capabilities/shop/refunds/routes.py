"""`/api/shop/orders/{id}/refunds`: money of an order goes back to its buyer."""

import hashlib
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid4

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Principal, Role
from capabilities.shop.models import RefundState
from capabilities.shop.once import KEY_PROBLEMS, KEYS, REPLAYED
from capabilities.shop.orders.payment_status import PaymentDisputed
from capabilities.shop.refunds.bodies import RefundAnswer, RefundBody
from capabilities.shop.refunds.complete_refund import complete_refund
from capabilities.shop.refunds.read import read_refund
from capabilities.shop.refunds.request_refund import NothingToRefund, RefundTooLarge, refuse_refused, request_refund
from capabilities.shop.rules import ShopRules
from database import transaction
from metering.rate_limit_headers import METERED_HEADERS
from payments.stripe.problems import STRIPE_PROBLEMS
from security.api.operation import Answer, operation
from security.edge.problems import NotFound
from security.logs.log import security_event

OPERATION: Final = "refundOrder"


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
        fingerprint = hashlib.sha256(f"{order_id} {body.root.model_dump_json()}".encode()).hexdigest()
        held = KEYS.claim(caller.user_id, OPERATION, idempotency_key, fingerprint=fingerprint, request_id=uuid4())
        if isinstance(held, bytes):
            refund_id = UUID(held.decode())
            complete_refund(rules, refund_id)
            return Answer(201, read_refund(refund_id), {REPLAYED: "true"})
        try:
            with transaction() as session:
                refund_id = request_refund(session, order_id, body.root, rules.clock(), actor_id=caller.user_id)
                KEYS.keep_in(session, held, str(refund_id))
        except BaseException:
            KEYS.release(held)
            raise
        security_event("order_refund_requested", notable=False, actor_id=caller.user_id, refund_id=str(refund_id))
        if complete_refund(rules, refund_id) is RefundState.FAILED:
            refuse_refused(order_id, refund_id)
        return Answer(201, read_refund(refund_id))

    return routes
