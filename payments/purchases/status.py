"""What a one-off payment is in, and which way it can go from there."""

from collections.abc import Mapping
from enum import StrEnum


class PaymentStatus(StrEnum):
    PENDING = "pending"
    """Waits for a card, the first or another one."""
    ACTION_REQUIRED = "action_required"
    """The buyer's bank asks the buyer."""
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    """Given up before it was paid. Money that comes all the same is given back, or buys what is still there."""
    HELD = "held"
    """What was paid is not what was ordered. A person must look."""
    DISPUTED = "disputed"
    REFUNDED = "refunded"


WAITING = frozenset({PaymentStatus.PENDING, PaymentStatus.ACTION_REQUIRED})
"""For the buyer."""
OPEN = WAITING | {PaymentStatus.PROCESSING}

_FROM_OPEN = frozenset(PaymentStatus)

TRANSITIONS: Mapping[PaymentStatus, frozenset[PaymentStatus]] = {
    PaymentStatus.PENDING: _FROM_OPEN,
    PaymentStatus.ACTION_REQUIRED: _FROM_OPEN,
    PaymentStatus.PROCESSING: _FROM_OPEN,
    PaymentStatus.CANCELED: frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.HELD, PaymentStatus.REFUNDED}),
    PaymentStatus.SUCCEEDED: frozenset({PaymentStatus.DISPUTED, PaymentStatus.REFUNDED}),
    PaymentStatus.HELD: frozenset({PaymentStatus.DISPUTED, PaymentStatus.REFUNDED}),
    PaymentStatus.DISPUTED: frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.HELD, PaymentStatus.REFUNDED}),
    # A refund that fails brings the money back to us.
    PaymentStatus.REFUNDED: frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.HELD, PaymentStatus.DISPUTED}),
}
"""Nothing that was paid becomes unpaid: what arrives late or twice finds no way back."""

OF_STRIPE: Mapping[str, PaymentStatus] = {
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_action": PaymentStatus.ACTION_REQUIRED,
    "processing": PaymentStatus.PROCESSING,
    "requires_capture": PaymentStatus.PROCESSING,
    "succeeded": PaymentStatus.SUCCEEDED,
    "canceled": PaymentStatus.CANCELED,
}
