"""Idempotency-Key for what costs something at Stripe, with the keys of metered calls: the same rules, words and 24 hours.

Stripe's own idempotency keys are not enough: one request of ours is several of Stripe's, with ids in them that differ each time, and
some find that there is nothing left to send. A request that died is made again by the next one with its key, and finds what was
made: every command here looks for its own open row or object first.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

from metering.idempotency import IdempotencyKeyReused, IdempotencyKeys, RequestStillRunning
from metering.rate_limit_headers import METERED_HEADERS
from security.api.models import AnswerBody, Body
from security.api.operation import Answer

Made = TypeVar("Made", bound=AnswerBody)

KEYS: Final = IdempotencyKeys(lease=timedelta(minutes=2))
"""Longer than Stripe's answers take, with every retry."""
KEY_PROBLEMS: Final = (IdempotencyKeyReused, RequestStillRunning)
REPLAYED: Final = "Idempotency-Replayed"
REPLAYED_HEADER: Final = {REPLAYED: METERED_HEADERS[REPLAYED]}


def once(
    user_id: UUID,
    operation_id: str,
    key: str | None,
    body: Body,
    make: Callable[[], Made],
    *,
    kept: Callable[[Made], str],
    again: Callable[[str], Made],
) -> Answer:
    """`kept` is what is stored of what `make` made, and `again` makes the answer of it. What fails frees the key.

    Raises IdempotencyKeyReused, RequestStillRunning.
    """
    if key is None:
        return Answer(200, make())
    fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    held = KEYS.claim(user_id, operation_id, key, fingerprint=fingerprint, request_id=uuid4())
    if isinstance(held, bytes):
        return Answer(200, again(held.decode()), {REPLAYED: "true"})
    try:
        made = make()
    except BaseException:
        KEYS.release(held)
        raise
    KEYS.keep(held, kept(made))
    return Answer(200, made)
