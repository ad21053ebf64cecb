"""A conversation is a tree: a branch leads from its first message to a leaf, and siblings are versions of one message."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, BindParameter, ColumnElement, Select, literal, or_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import LateralFromClause

from capabilities.chat.models import ChatMessage

MOST_MESSAGES = 5_000
"""In one conversation, all branches together."""
Id = UUID | BindParameter[UUID]


def branch(conversation_id: Id, leaf_id: Id, most: int = MOST_MESSAGES) -> CTE:
    """`id`, `parent_id` and `step` of the messages from the leaf, which is step 1, up to the first one, or to so many."""
    leaf = (
        select(ChatMessage.id, ChatMessage.parent_id, literal(1).label("step"))
        .where(ChatMessage.conversation_id == conversation_id, ChatMessage.id == leaf_id)
        .cte("branch", recursive=True)
    )
    parent = _each(
        select(ChatMessage.id, ChatMessage.parent_id).where(
            ChatMessage.conversation_id == conversation_id, ChatMessage.id == leaf.c.parent_id
        )
    )
    up = select(parent.c.id, parent.c.parent_id, leaf.c.step + 1).select_from(leaf).join(parent, true())
    return leaf.union_all(up.where(leaf.c.step < most))


def subtree(conversation_id: UUID, top_id: UUID) -> CTE:
    """`id` of a message and of all that are below it."""
    top = (
        select(ChatMessage.id)
        .where(ChatMessage.conversation_id == conversation_id, ChatMessage.id == top_id)
        .cte("subtree", recursive=True)
    )
    child = _each(
        select(ChatMessage.id).where(ChatMessage.conversation_id == conversation_id, ChatMessage.parent_id == top.c.id)
    )
    return top.union_all(select(child.c.id).select_from(top).join(child, true()))


def newest_leaf(session: Session, conversation_id: UUID, top_id: UUID) -> UUID:
    """Where the branch ends that goes on from a message by the newest version each time; the message itself, if it is a leaf."""
    top = select(literal(top_id).label("id"), literal(1).label("step")).cte("newest", recursive=True)
    child = (
        select(ChatMessage.id)
        .where(ChatMessage.conversation_id == conversation_id, ChatMessage.parent_id == top.c.id)
        .order_by(ChatMessage.id.desc())
        .limit(1)
        .lateral()
    )
    down = top.union_all(select(child.c.id, top.c.step + 1).select_from(top).join(child, true()))
    leaf: UUID = session.scalars(select(down.c.id).order_by(down.c.step.desc()).limit(1)).one()
    return leaf


def _each(query: Select[*tuple[Any, ...]]) -> LateralFromClause:
    """Looked up for each row. Without the offset PostgreSQL might read the whole conversation at each step instead."""
    return query.offset(0).lateral()


def siblings(
    session: Session, conversation_id: UUID, parents: Sequence[UUID | None]
) -> Mapping[UUID | None, Sequence[UUID]]:
    """By parent, the messages under it, the oldest first. None: those that begin the conversation."""
    found: dict[UUID | None, list[UUID]] = {parent: [] for parent in parents}
    for parent_id, message_id in session.execute(_children(conversation_id, set(parents))):
        found[parent_id].append(message_id)
    return found


def _children(conversation_id: UUID, parents: set[UUID | None]) -> Select[UUID | None, UUID]:
    under: ColumnElement[bool] = ChatMessage.parent_id.in_(parents - {None})
    if None in parents:
        under = or_(under, ChatMessage.parent_id.is_(None))
    mine = select(ChatMessage.parent_id, ChatMessage.id).where(ChatMessage.conversation_id == conversation_id, under)
    return mine.order_by(ChatMessage.id)
