"""The whole application with chat on, over PostgreSQL, and people with conversations that nobody had to generate."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from admin.assembled import ASSEMBLED, Assembled
from auth.tiers import Tier
from capabilities.chat.conversations.hold import hold_conversation
from capabilities.chat.conversations.make import add_conversation
from capabilities.chat.conversations.title import title_of
from capabilities.chat.models import ChatMessage, Conversation, MessageRole, MessageState, TitleSource
from database import reading, transaction
from database.base import uuid7
from tests.auth.accounts_app import PASSWORD, bearer
from tests.whole.environment import PUBLIC_HOST

BASE = f"https://{PUBLIC_HOST}"
BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Chats:
    app: Flask

    @property
    def made(self) -> Assembled:
        made: Assembled = self.app.extensions[ASSEMBLED]
        return made

    def register(self, tier: Tier | None = None) -> "Person":
        email = f"{secrets.token_hex(6)}@example.com"
        elsewhere = {"X-Forwarded-For": f"2001:db8:{secrets.randbelow(0xFFFF):x}::1"}  # few may register from one
        answer = self.app.test_client().post(
            "/api/auth/register", json={"email": email, "password": PASSWORD}, base_url=BASE, headers=elsewhere
        )
        assert answer.status_code == 201, answer.text
        if tier is not None:
            self.flask("users", "set-tier", email, tier.value)
        told = answer.get_json()
        return Person(self, UUID(told["user"]["id"]), told["access_token"], email)

    def flask(self, *arguments: str) -> None:
        done = self.app.test_cli_runner().invoke(args=arguments)
        assert done.exit_code == 0, done.output

    def rows(self, statement: str, **values: object) -> list[dict[str, Any]]:
        with self.app.app_context(), reading() as session:
            return [dict(row) for row in session.execute(text(statement), values).mappings()]

    def do(self, statement: str, **values: object) -> None:
        with self.app.app_context(), transaction() as session:
            session.execute(text(statement), values)


@dataclass
class Person:
    chats: Chats
    id: UUID
    token: str
    email: str

    def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> TestResponse:
        return self.chats.app.test_client().open(
            f"/api/gateway{path}", method=method, headers=bearer(token or self.token), base_url=BASE, **options
        )

    def get(self, path: str, **query: object) -> TestResponse:
        return self.call("GET", path, query_string=query)

    def post(self, path: str, body: dict[str, Any]) -> TestResponse:
        return self.call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> TestResponse:
        return self.call("PATCH", path, json=body)

    def delete(self, path: str, **query: object) -> TestResponse:
        return self.call("DELETE", path, query_string=query)

    def begins(self, content: str = "Hello", now: datetime = BEGINNING) -> "Talk":
        """A conversation with one message."""
        with self.chats.app.app_context(), transaction() as session:
            conversation = add_conversation(session, self.id, now)
            session.flush()
            message = _message(conversation.id, None, MessageRole.USER, content, user_id=self.id, created_at=now)
            _append(session, conversation, now, message)
            return Talk(self, conversation.id, [message.id], now)

    def key(self, scope: str) -> str:
        answer = self.chats.app.test_client().post(
            "/api/auth/tokens", json={"name": "phone", "scopes": [scope]}, headers=bearer(self.token), base_url=BASE
        )
        return str(answer.get_json()["token"])


@dataclass
class Talk:
    """`ids` of the messages, in the order in which they were written."""

    person: Person
    id: UUID
    ids: list[UUID]
    now: datetime = field(default=BEGINNING)

    @property
    def path(self) -> str:
        return f"/conversations/{self.id}"

    def say(
        self,
        content: str,
        parent: UUID | None = None,
        *,
        role: MessageRole | None = None,
        state: MessageState = MessageState.COMPLETE,
        at_beginning: bool = False,
    ) -> UUID:
        """Under the last message, or another one. Of the other speaker than that, if `role` does not say."""
        self.now += timedelta(minutes=1)
        chats = self.person.chats
        parent_id = None if at_beginning else parent or self.ids[-1]
        with chats.app.app_context(), transaction() as session:
            conversation = hold_conversation(session, self.person.id, self.id)
            above = None if parent_id is None else session.get(ChatMessage, parent_id)
            answers = above is not None and above.role == MessageRole.USER
            speaker = role or (MessageRole.ASSISTANT if answers else MessageRole.USER)
            known = {"user_id": self.person.id, "created_at": self.now, "state": state}
            message = _message(self.id, parent_id, speaker, content, **known)
            _append(session, conversation, self.now, message)
            self.ids.append(message.id)
        return self.ids[-1]

    def read(self) -> dict[str, Any]:
        answer = self.person.get(self.path)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.get_json()
        return told

    def contents(self, **query: object) -> list[str]:
        answer = self.person.get(f"{self.path}/messages", **query)
        assert answer.status_code == 200, answer.text
        return [each["content"] for each in answer.get_json()["messages"]]


def _message(talk: UUID, parent_id: UUID | None, role: MessageRole, content: str, **known: Any) -> ChatMessage:
    return ChatMessage(
        **{"state": MessageState.COMPLETE, **known},
        id=uuid7(),
        conversation_id=talk,
        parent_id=parent_id,
        role=role,
        content=content,
    )


def _append(session: Session, conversation: Conversation, now: datetime, message: ChatMessage) -> None:
    session.add(message)
    conversation.message_count += 1
    conversation.current_leaf_id = message.id
    conversation.last_message_at = conversation.updated_at = now
    if conversation.title is None:
        conversation.title, conversation.title_source = title_of(message.content), TitleSource.FIRST_MESSAGE
