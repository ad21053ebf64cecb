"""Conversations and their messages"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0012"
down_revision = "0011"

SEARCH = (
    "CASE WHEN (state = ANY (ARRAY['pending'::text, 'streaming'::text])) THEN NULL::tsvector"
    " ELSE (array_to_tsvector(ARRAY[(user_id)::text]) || to_tsvector('simple'::regconfig,"
    ' "left"(content, 50000))) END'
)


def upgrade() -> None:
    op.create_table(
        "chat_conversations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("title_source", sa.Text()),
        sa.Column("system_prompt", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("max_tokens", sa.Integer()),
        sa.Column("temperature", sa.Float()),
        sa.Column("pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("current_leaf_id", sa.Uuid()),
        sa.Column("message_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(title IS NULL) = (title_source IS NULL)", name=op.f("ck_chat_conversations_title_has_source")
        ),
        sa.CheckConstraint(
            "title_source IN ('first_message', 'user')", name=op.f("ck_chat_conversations_title_source_known")
        ),
        sa.CheckConstraint("message_count >= 0", name=op.f("ck_chat_conversations_message_count_not_negative")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_chat_conversations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_conversations")),
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_chat_conversations_id_user_id")),
    )
    op.create_index(
        "ix_chat_conversations_user_id_last_message_at",
        "chat_conversations",
        ["user_id", sa.text("last_message_at DESC"), sa.text("id DESC")],
    )
    op.create_index("ix_chat_conversations_last_message_at", "chat_conversations", ["last_message_at"])
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("provider", sa.Text()),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("estimated", sa.Boolean()),
        sa.Column("cost_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("price_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rating", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("rating_comment", sa.Text()),
        sa.Column("request_id", sa.Uuid()),
        sa.Column("error_code", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("owner_until", sa.DateTime(timezone=True)),
        sa.Column("stop_requested_at", sa.DateTime(timezone=True)),
        sa.Column("edited_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_token_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("search", TSVECTOR(), sa.Computed(SEARCH, persisted=True)),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_chat_messages_role_known")),
        sa.CheckConstraint(
            "state IN ('pending', 'streaming', 'complete', 'stopped', 'failed')",
            name=op.f("ck_chat_messages_state_known"),
        ),
        sa.CheckConstraint(
            "role = 'assistant' OR state = 'complete'", name=op.f("ck_chat_messages_users_are_complete")
        ),
        sa.CheckConstraint("rating IN (-1, 0, 1)", name=op.f("ck_chat_messages_rating_known")),
        sa.CheckConstraint("cost_micros >= 0 AND price_micros >= 0", name=op.f("ck_chat_messages_money_not_negative")),
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["chat_conversations.id", "chat_conversations.user_id"],
            name=op.f("fk_chat_messages_conversation_id_chat_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id", "parent_id"],
            ["chat_messages.conversation_id", "chat_messages.id"],
            name=op.f("fk_chat_messages_parent_id_chat_messages"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_messages")),
        sa.UniqueConstraint("conversation_id", "id", name=op.f("uq_chat_messages_conversation_id_id")),
    )
    op.create_index(
        "ix_chat_messages_conversation_id_parent_id_id", "chat_messages", ["conversation_id", "parent_id", "id"]
    )
    op.create_index(
        "ix_chat_messages_running",
        "chat_messages",
        ["conversation_id"],
        postgresql_where=sa.text("state IN ('pending', 'streaming')"),
    )
    op.create_index(
        "ix_chat_messages_search",
        "chat_messages",
        ["search"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        postgresql_where=sa.text("search IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("chat_messages")
    op.drop_table("chat_conversations")
