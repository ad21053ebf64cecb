"""What an Idempotency-Key stands for: asking twice with one key is asking once.

A key belongs to one user and one route. It is claimed when the limits have admitted the call, so that a refused call writes
nothing. The answer is written in the transaction that counts the call: there is no moment in which a call is counted and its
answer lost.
"""

import hashlib
import hmac
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from database import reading, transaction
from database.base import uuid7
from security.edge.problems import Problem, retry_after

KEPT_FOR = timedelta(hours=24)
LARGEST_KEPT_ANSWER = 256 * 1024
TOO_LARGE_TO_KEEP = ""
"""Stands for the answer of a call that was delivered and counted. No real answer is empty."""


class IdempotencyKeyReused(Problem):
    """The key stands for another request. What was asked first is not changed or shown."""

    status, error, title = 422, "idempotency_key_reused", "This Idempotency-Key was used for a different request"


class RequestStillRunning(Problem):
    """`request_id`: the holder's; None when the key changed hands in this moment."""

    status, error, title = 409, "request_still_running", "The first request with this Idempotency-Key is still running"

    def __init__(self, seconds: float, request_id: UUID | None = None) -> None:
        super().__init__(headers=retry_after(min(seconds, 5)))
        self.request_id = request_id


class AnswerNotKept(Problem):
    """The call was made and counted once. Asking again with this key neither repeats it nor shows it."""

    status, error = 409, "answer_not_kept"
    title = "The answer to this request was too large to store. Use a new Idempotency-Key to repeat the request"


@dataclass(frozen=True, slots=True)
class HeldKey:
    """This request holds the key. After a take-over `request_id` is the first holder's, so that both count as one call.

    `lease_until` tells one holder from another: what a holder does to the key has no effect once somebody took it over.
    """

    user_id: UUID
    route: str
    key_sha256: bytes
    request_id: UUID
    lease_until: datetime
    taken_over: bool


CLAIM = text("""
    INSERT INTO idempotency_keys (user_id, route, key_sha256, fingerprint, request_id, lease_until)
    VALUES (:user_id, :route, :key_sha256, :fingerprint, :request_id, clock_timestamp() + :lease)
    ON CONFLICT (user_id, route, key_sha256) DO NOTHING
    RETURNING request_id, lease_until
""")
LOOK = text("""
    SELECT fingerprint, answer, request_id, extract(epoch FROM lease_until - clock_timestamp())::float
    FROM idempotency_keys WHERE user_id = :user_id AND route = :route AND key_sha256 = :key_sha256
""")
TAKE_OVER = text("""
    UPDATE idempotency_keys SET lease_until = clock_timestamp() + :lease
    WHERE user_id = :user_id AND route = :route AND key_sha256 = :key_sha256
        AND fingerprint = :fingerprint AND answer IS NULL AND lease_until <= clock_timestamp()
    RETURNING request_id, lease_until
""")
SET_ASIDE = (
    text("UPDATE usage_reservations SET request_id = :aside WHERE request_id = :request_id"),
    text("UPDATE request_logs SET id = :aside WHERE id = :request_id AND NOT success"),
)
OWN = """
    WHERE user_id = :user_id AND route = :route AND key_sha256 = :key_sha256
        AND request_id = :request_id AND lease_until = :lease_until AND answer IS NULL
"""
RELEASE = text(f"DELETE FROM idempotency_keys {OWN}")  # nosec B608 # noqa: S608 - two constants
KEEP = text(f"UPDATE idempotency_keys SET answer = :answer, answered_at = now() {OWN}")  # nosec B608 # noqa: S608
KEEP_OWN = text(f"{KEEP.text} RETURNING request_id")
END_LEASE = text(f"UPDATE idempotency_keys SET lease_until = clock_timestamp() {OWN}")  # nosec B608 # noqa: S608


def kept_form(body: bytes) -> str:
    """What is stored for an answer. Larger ones would make the transaction that many calls share too large."""
    return body.decode() if len(body) <= LARGEST_KEPT_ANSWER else TOO_LARGE_TO_KEEP


class IdempotencyKeys:
    """`lease`: longer than a call can last. A holder that died is taken over after it."""

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease

    def look(self, user_id: UUID, route: str, key: str, fingerprint: str) -> bytes | None:
        """The answer that the key stands for; None when a call with it may run, if it can then be claimed.

        Raises IdempotencyKeyReused, RequestStillRunning, AnswerNotKept.
        """
        with reading() as session:
            found = session.execute(LOOK, _names(user_id, route, key)).one_or_none()
        return None if found is None else _answer_of(tuple(found), fingerprint)

    def claim(self, user_id: UUID, route: str, key: str, *, fingerprint: str, request_id: UUID) -> HeldKey | bytes:
        """Take the key, or find the answer that it stands for.

        Raises IdempotencyKeyReused, RequestStillRunning, AnswerNotKept.
        """
        names = _names(user_id, route, key)
        values = names | {"fingerprint": fingerprint, "request_id": request_id, "lease": self._lease}
        with transaction() as session:
            for _ in range(3):
                for statement in (CLAIM, TAKE_OVER):
                    if row := session.execute(statement, values).one_or_none():
                        holder, lease_until = row
                        return HeldKey(user_id, route, names["key_sha256"], holder, lease_until, statement is TAKE_OVER)
                found = session.execute(LOOK, names).one_or_none()
                if found is None:
                    continue  # released a moment ago
                if (stored := _answer_of(tuple(found), fingerprint)) is not None:
                    return stored
        raise RequestStillRunning(1)

    def set_aside(self, held: HeldKey) -> None:
        """Give what the first holder left a name of its own, before a call under a key that was taken over is made. What that one
        writes would replace it, and each of them asked the upstream.
        """
        left = {"request_id": held.request_id, "aside": uuid7()}
        with transaction() as session:
            for each in SET_ASIDE:
                session.execute(each, left)

    def keep(self, held: HeldKey, answer: str) -> None:
        """Of a request that is not metered. A metered one stores its answer in the statement that counts it."""
        with transaction() as session:
            session.execute(KEEP, asdict(held) | {"answer": answer})

    def keep_in(self, session: Session, held: HeldKey, answer: str) -> None:
        """The same in the transaction that makes the answer true. Raises RequestStillRunning when somebody took the key over."""
        kept = session.execute(KEEP_OWN, asdict(held) | {"answer": answer})
        if kept.one_or_none() is None:
            raise RequestStillRunning(1)

    def release(self, held: HeldKey) -> None:
        """Nothing was delivered, so the key may be used again. An answer that is stored stays.

        A key that was taken over keeps its request id: if its first holder wakes up after all and delivers, the next
        call under the key is the same call and is not counted again.
        """
        with transaction() as session:
            session.execute(END_LEASE if held.taken_over else RELEASE, asdict(held))


def _names(user_id: UUID, route: str, key: str) -> dict[str, Any]:
    return {"user_id": user_id, "route": route, "key_sha256": hashlib.sha256(key.encode()).digest()}


def _answer_of(found: tuple[str, str | None, UUID, float], fingerprint: str) -> bytes | None:
    """None when its holder has died."""
    known, answer, request_id, left = found
    if not hmac.compare_digest(known, fingerprint):
        raise IdempotencyKeyReused
    if answer == TOO_LARGE_TO_KEEP:
        raise AnswerNotKept
    if answer is not None:
        return answer.encode()
    if left > 0:
        raise RequestStillRunning(left, request_id)
    return None
