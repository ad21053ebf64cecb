"""The staff give money back, once for each key, by the API as well as in the dashboard."""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID, uuid4

from capabilities.shop.models import RefundState
from capabilities.shop.once import KEYS, REPLAYED
from capabilities.shop.refunds.bodies import RefundAmountBody, RefundItemsBody
from capabilities.shop.refunds.complete_refund import complete_refund
from capabilities.shop.refunds.request_refund import refuse_refused, request_refund
from capabilities.shop.rules import ShopRules
from database import transaction
from security.logs.log import security_event

OPERATION: Final = "refundOrder"


def give_refund(
    rules: ShopRules, order_id: UUID, wanted: RefundItemsBody | RefundAmountBody, *, key: str, by: UUID
) -> tuple[UUID, Mapping[str, str]]:
    """Its id, and a header when it was given before.

    Raises NotFound, NothingToRefund, RefundTooLarge, PaymentDisputed, ValidationFailed, Stripe's problems, those of keys.
    """
    fingerprint = hashlib.sha256(f"{order_id} {wanted.model_dump_json()}".encode()).hexdigest()
    held = KEYS.claim(by, OPERATION, key, fingerprint=fingerprint, request_id=uuid4())
    if isinstance(held, bytes):
        refund_id = UUID(held.decode())
        complete_refund(rules, refund_id)
        return refund_id, {REPLAYED: "true"}
    try:
        with transaction() as session:
            refund_id = request_refund(session, order_id, wanted, rules.clock(), actor_id=by)
            KEYS.keep_in(session, held, str(refund_id))
    except BaseException:
        KEYS.release(held)
        raise
    security_event("order_refund_requested", notable=False, actor_id=by, refund_id=str(refund_id))
    if complete_refund(rules, refund_id) is RefundState.FAILED:
        refuse_refused(order_id, refund_id)
    return refund_id, {}
