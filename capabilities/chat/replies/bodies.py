"""What the routes of replies take and answer."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from capabilities.chat.conversations.bodies import (
    MaxTokens,
    MessageAnswer,
    MessageText,
    ModelName,
    ReplyUsage,
    Temperature,
)
from security.api.models import WHOLE, AnswerBody, Body


class ReplyOptions(Body):
    """How the reply is to be made."""

    model: ModelName | None = None
    """A model or an alias from `GET /api/gateway/chat/models`. By default the conversation's, or else the service chooses."""
    max_tokens: MaxTokens | None = None
    """The longest reply. By default the conversation's, or else as long as your plan and the model allow."""
    temperature: Temperature | None = None
    """Models that do not take one ignore it."""


class ReplyFields(ReplyOptions):
    """How the reply is to be made, and answered."""

    stream: bool = False
    """Answer with events, as with `Accept: text/event-stream`."""


class SendBody(ReplyFields):
    content: MessageText
    conversation_id: UUID | None = None
    """By default a new conversation is made."""
    parent_id: UUID | None = None
    """The message that this one follows, to go on from there in a new branch. By default the last one of the branch that is shown.
    Null begins the conversation anew."""


class RegenerateBody(ReplyFields):
    conversation_id: UUID
    message_id: UUID | None = None
    """The reply of which to make another version. By default the last one."""


class StreamQuery(Body):
    after: Annotated[int, Field(ge=0, le=2**31), WHOLE] | None = None
    """How many bytes of the reply's text you have, in UTF-8. `Last-Event-ID` says the same."""


class ReplyAnswer(AnswerBody):
    conversation_id: UUID
    message: MessageAnswer
    """Yours."""
    reply: MessageAnswer


class ContextTold(AnswerBody):
    """How many messages of the conversation the model was sent, and how many older ones were too long for it or for your plan."""

    sent: int
    dropped: int


class ReplyStart(AnswerBody):
    conversation_id: UUID
    message_id: UUID
    """Of the reply."""
    user_message_id: UUID
    model: str
    """That is asked. If its provider refuses, another model of the alias may reply: `end` names it."""
    max_tokens: int | None
    """The longest reply. Null when you repeated the request, and for others who follow it."""
    max_tokens_reduced: bool
    """It is shorter than you asked for: your plan has no more tokens left today, or the model writes no more."""
    context: ContextTold | None
    """Null when you repeated the request, and for others who follow it."""


class ReplyDelta(AnswerBody):
    text: str


class LeftToday(AnswerBody):
    """What is left of your plan today. Null means unlimited."""

    messages: int | None
    tokens: int | None


class ReplyEnd(AnswerBody):
    state: Literal["complete", "stopped"]
    finish_reason: str | None
    """`stop`, `length`, or `content_filter` if the provider refused to go on. Null for a reply that was stopped."""
    retryable: bool
    """The server had to stop the reply. Regenerate it to get the whole."""
    model: str
    usage: ReplyUsage
    cost_cents: int
    """Tokens belong to your plan, so this is 0."""
    remaining: LeftToday | None
    """Null when the reply had ended before."""
