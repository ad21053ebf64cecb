"""What a model is sent of a branch: the newest messages that fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from capabilities.chat.conversations.branches import branch
from capabilities.chat.models import ChatMessage, MessageRole

BYTES_PER_TOKEN = 2
"""No tokenizer makes more tokens of a text than one for two bytes, but for rare scripts. So this is an upper bound."""
TOKENS_A_MESSAGE = 16
"""What a provider adds around each message."""


@dataclass(frozen=True)
class Turn:
    id: UUID
    role: MessageRole
    text: str = field(repr=False)


@dataclass(frozen=True)
class Context:
    """`turns`, the oldest first, begin with the user's. `dropped`: how many older ones of the branch did not fit."""

    turns: Sequence[Turn]
    dropped: int

    @property
    def sent(self) -> int:
        return len(self.turns)


def tokens_of(size: int) -> int:
    """The most that a message of so many bytes of UTF-8 can be in tokens."""
    return -(-size // BYTES_PER_TOKEN) + TOKENS_A_MESSAGE


def context_of(session: Session, conversation_id: UUID, leaf_id: UUID, most_tokens: int) -> Context:
    """The branch that ends in `leaf_id`, which fits into `most_tokens` as tokens_of counts. A reply without text, because it
    failed or was stopped, is left out: providers refuse empty messages. No turns: not even the leaf fits.
    """
    path = branch(conversation_id, leaf_id)
    size = func.octet_length(ChatMessage.content)
    walked = select(ChatMessage.id, size).join(path, ChatMessage.id == path.c.id).where(size > 0)
    sizes = session.execute(walked.order_by(path.c.step)).all()
    fitting: list[UUID] = []
    left = most_tokens
    for message_id, bytes_ in sizes:
        left -= tokens_of(bytes_)
        if left < 0:
            break
        fitting.append(message_id)
    turns = _turns(session, fitting[::-1])
    while turns and turns[0].role is MessageRole.ASSISTANT:  # a provider's first message must be the user's
        del turns[0]
    return Context(turns, len(sizes) - len(turns))


def _turns(session: Session, ids: Sequence[UUID]) -> list[Turn]:
    columns = select(ChatMessage.id, ChatMessage.role, ChatMessage.content).where(ChatMessage.id.in_(ids))
    found = {row.id: Turn(row.id, MessageRole(row.role), row.content) for row in session.execute(columns)}
    return [found[message_id] for message_id in ids]
