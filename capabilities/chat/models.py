"""The tables of chat: conversations, and their messages, which form a tree."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class MessageRole(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class MessageState(StrEnum):
    """What a user sends is complete at once. A reply is `pending` until its first text, and then `streaming`."""

    PENDING = "pending"
    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def running(self) -> bool:
        return self in RUNNING


RUNNING: Final = (MessageState.PENDING, MessageState.STREAMING)


class TitleSource(StrEnum):
    FIRST_MESSAGE = "first_message"
    USER = "user"


SEARCHED_CHARACTERS: Final = 50_000
"""The search finds words up to here. PostgreSQL refuses a tsvector of a megabyte, which long replies could reach."""

SEARCH: Final = (
    "CASE WHEN (state = ANY (ARRAY['pending'::text, 'streaming'::text])) THEN NULL::tsvector"
    " ELSE (array_to_tsvector(ARRAY[(user_id)::text]) || to_tsvector('simple'::regconfig,"
    f' "left"(content, {SEARCHED_CHARACTERS}))) END'
)
"""In PostgreSQL's own spelling. The user's id is a word of it: so one look into the index finds what is theirs and has the words,
however many messages of others have them. A reply gets it at its end: otherwise each second of it would be indexed anew.
"""


class Conversation(Base):
    """`current_leaf_id` is where the branch ends that is shown; None while there is no message. A title comes from the first
    message, unless the user gave one.

    Whoever adds, moves or deletes messages locks this row first (conversations/hold.py, replies/write_reply.py), so that its columns
    stay true.
    """

    __tablename__ = "chat_conversations"
    __table_args__ = (
        CheckConstraint("(title IS NULL) = (title_source IS NULL)", name="title_has_source"),
        CheckConstraint("title_source IN ('first_message', 'user')", name="title_source_known"),
        CheckConstraint("message_count >= 0", name="message_count_not_negative"),
        # For the foreign key of messages: theirs is the same user.
        UniqueConstraint("id", "user_id"),
        Index(
            "ix_chat_conversations_user_id_last_message_at", "user_id", text("last_message_at DESC"), text("id DESC")
        ),
        Index("ix_chat_conversations_last_message_at", "last_message_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str | None] = mapped_column(Text)
    title_source: Mapped[str | None] = mapped_column(Text)
    system_prompt: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    max_tokens: Mapped[int | None] = mapped_column(Integer)
    temperature: Mapped[float | None] = mapped_column(Float)
    pinned: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    archived_at: Mapped[datetime | None]
    current_leaf_id: Mapped[UUID | None]
    message_count: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    last_message_at: Mapped[datetime]
    """When the conversation was made, while there is no message."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ChatMessage(Base):
    """A message of a user, or a reply. `parent_id` is the one before it: siblings are other versions at the same place.

    `owner` is the process that generates a reply, and `owner_until` how long it is believed to. Whoever flushes text and finds no
    row any more was deleted with the conversation, and stops. `request_id` is the metered call's. Money is in millionths.
    """

    __tablename__ = "chat_messages"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant')", name="role_known"),
        CheckConstraint("state IN ('pending', 'streaming', 'complete', 'stopped', 'failed')", name="state_known"),
        CheckConstraint("role = 'assistant' OR state = 'complete'", name="users_are_complete"),
        CheckConstraint("rating IN (-1, 0, 1)", name="rating_known"),
        CheckConstraint("cost_micros >= 0 AND price_micros >= 0", name="money_not_negative"),
        ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["chat_conversations.id", "chat_conversations.user_id"],
            name="fk_chat_messages_conversation_id_chat_conversations",
            ondelete="CASCADE",
        ),
        # A parent is of the same conversation. It does not cascade: one trigger in another, as deep as the conversation is long.
        ForeignKeyConstraint(
            ["conversation_id", "parent_id"],
            ["chat_messages.conversation_id", "chat_messages.id"],
            name="fk_chat_messages_parent_id_chat_messages",
        ),
        UniqueConstraint("conversation_id", "id"),
        Index("ix_chat_messages_conversation_id_parent_id_id", "conversation_id", "parent_id", "id"),
        Index(
            "ix_chat_messages_running", "conversation_id", postgresql_where=text("state IN ('pending', 'streaming')")
        ),
        # Without fastupdate, a search would never read a list of what is not yet in the index.
        Index(
            "ix_chat_messages_search",
            "search",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
            postgresql_where=text("search IS NOT NULL"),
        ),
    )
    __mapper_args__ = {"eager_defaults": False}  # or each insert would send `search` back

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    conversation_id: Mapped[UUID]
    user_id: Mapped[UUID]
    parent_id: Mapped[UUID | None]
    role: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    provider: Mapped[str | None] = mapped_column(Text)
    finish_reason: Mapped[str | None] = mapped_column(Text)
    input_tokens: Mapped[int | None] = mapped_column(Integer)
    output_tokens: Mapped[int | None] = mapped_column(Integer)
    estimated: Mapped[bool | None]
    cost_micros: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    price_micros: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    rating: Mapped[int] = mapped_column(SmallInteger, server_default="0", default=0)
    rating_comment: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[UUID | None]
    error_code: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    owner_until: Mapped[datetime | None]
    stop_requested_at: Mapped[datetime | None]
    edited_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    first_token_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    search: Mapped[str | None] = mapped_column(
        TSVECTOR, Computed(SEARCH, persisted=True), deferred=True, deferred_raiseload=True
    )
