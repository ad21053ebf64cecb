"""What a model is sent of a branch: the newest messages that fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import Compiled, Engine, Integer, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from capabilities.chat.conversations.branches import branch
from capabilities.chat.models import ChatMessage, MessageRole
from database.one_statement import rows_of

BYTES_PER_TOKEN = 2
"""No tokenizer makes more tokens of a text than one for two bytes, but for rare scripts. So this is an upper bound."""
TOKENS_A_MESSAGE = 16
"""What a provider adds around each message."""
CONVERSATION, LEAF, MOST_TOKENS = "conversation", "leaf", "most_tokens"


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


def context_of(engine: Engine, conversation_id: UUID, leaf_id: UUID, most_tokens: int) -> Context:
    """The branch that ends in `leaf_id`, which fits into `most_tokens` as tokens_of counts. A reply without text, because it
    failed or was stopped, is left out: providers refuse empty messages. No turns: not even the leaf fits.
    """
    ends = {CONVERSATION: str(conversation_id), LEAF: str(leaf_id), MOST_TOKENS: most_tokens}
    rows = rows_of(engine, FITTING.string, {**FITTING.params, **ends})
    turns = [Turn(UUID(str(row[1])), MessageRole(row[2]), row[3]) for row in rows if row[1] is not None]
    while turns and turns[0].role is MessageRole.ASSISTANT:  # a provider's first message must be the user's
        del turns[0]
    return Context(turns, rows[0][0] - len(turns))


def _fitting() -> Compiled:
    """The number of all messages of a branch that say something, with each that fits, the oldest first, or with none."""
    path = branch(bindparam(CONVERSATION, type_=Uuid()), bindparam(LEAF, type_=Uuid()))
    size = func.octet_length(ChatMessage.content)
    tokens = func.sum((size + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN + TOKENS_A_MESSAGE).over(order_by=path.c.step)
    walked = (
        select(ChatMessage.id, path.c.step, tokens.label("tokens"))
        .join(path, ChatMessage.id == path.c.id)
        .where(size > 0)
        .cte("walked")
    )
    number = select(func.count().label("number")).select_from(walked).subquery("counted")
    fits = walked.join(ChatMessage, ChatMessage.id == walked.c.id)
    found = number.outerjoin(fits, walked.c.tokens <= bindparam(MOST_TOKENS, type_=Integer()))
    columns = select(number.c.number, ChatMessage.id, ChatMessage.role, ChatMessage.content)
    dialect = PGDialect_psycopg2()  # type: ignore[no-untyped-call]
    return columns.select_from(found).order_by(walked.c.step.desc()).compile(dialect=dialect)


FITTING: Final = _fitting()
