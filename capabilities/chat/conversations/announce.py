"""Telling the process that holds the sockets what changed. Ids alone: it reads the row, and nobody else can read along."""

from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from database.notify import notify

CHANNEL: Final = "chat"


@dataclass(frozen=True, slots=True)
class Change:
    """`conversation_id` is None where several of the user's changed. `reply_id`: a reply that began, which the process `owner`
    generates.
    """

    user_id: UUID
    conversation_id: UUID | None
    reply_id: UUID | None = None
    owner: str | None = None

    def announce(self, session: Session) -> None:
        """Heard when the transaction is committed."""
        notify(session, CHANNEL, self.payload())

    def payload(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def heard(cls, payload: str) -> "Change":
        members: dict[str, Any] = orjson.loads(payload)
        ids = {name: None if members[name] is None else UUID(members[name]) for name in ("conversation_id", "reply_id")}
        return cls(UUID(members["user_id"]), owner=members["owner"], **ids)
