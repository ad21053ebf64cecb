"""What is made once for each Idempotency-Key. The key keeps the answer in the transaction that makes it, so there is no moment in
which something was made and its answer is lost.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy.orm import Session

from metering.idempotency import AnswerNotKept, HeldKey, IdempotencyKeyReused, IdempotencyKeys, RequestStillRunning
from metering.rate_limit_headers import METERED_HEADERS
from security.api.models import AnswerBody, Body
from security.api.operation import Answer

KEYS: Final = IdempotencyKeys(lease=timedelta(minutes=1))
"""Longer than a transaction lasts."""
KEY_PROBLEMS: Final = (IdempotencyKeyReused, RequestStillRunning, AnswerNotKept)
REPLAYED: Final = "Idempotency-Replayed"
MADE_HEADERS: Final = {"Location": "The path of what was made.", REPLAYED: METERED_HEADERS[REPLAYED]}

Keep = Callable[[Session, AnswerBody], None]
"""Is told the answer, in the transaction that makes it true."""


def once(
    user_id: UUID, operation_id: str, key: str | None, body: Body, make: Callable[[Keep], AnswerBody], *, below: str
) -> Answer:
    """201, or the stored answer. `make` calls what it is handed. What fails frees the key. `below`: the path under which what was made
    is found by its id.

    Raises IdempotencyKeyReused, RequestStillRunning, AnswerNotKept, and what `make` raises.
    """
    if key is None:
        return made_answer(encoded(make(lambda session, answer: None)), below)
    fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    held = KEYS.claim(user_id, operation_id, key, fingerprint=fingerprint, request_id=uuid4())
    if isinstance(held, bytes):
        return made_answer(held, below, {REPLAYED: "true"})
    try:
        made = make(lambda session, answer: keep(session, held, answer))
    except BaseException:
        KEYS.release(held)
        raise
    return made_answer(encoded(made), below)


def keep(session: Session, held: HeldKey, answer: AnswerBody) -> None:
    KEYS.keep_in(session, held, encoded(answer).decode())


def encoded(answer: AnswerBody) -> bytes:
    return answer.__pydantic_serializer__.to_json(answer)


def made_answer(body: bytes, below: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(201, body, {"Location": f"{below}/{orjson.loads(body)['id']}", **(headers or {})})
