"""What clients send with their events, and what they are told."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Discriminator, Field, RootModel, Tag

from capabilities.chat.conversations.bodies import ConversationAnswer, MessageText
from capabilities.chat.replies.bodies import ReplyEnd, ReplyOptions, ReplyStart
from security.api.idempotency_key import KEY
from security.api.models import WHOLE, AnswerBody, Body, OneOfBody


class ConversationBody(Body):
    conversation_id: UUID


class MessageBody(Body):
    message_id: UUID


class SendEventBody(ReplyOptions):
    content: MessageText
    idempotency_key: Annotated[str, Field(pattern=f"^{KEY.pattern}$")]
    """Of your choice, a new one for each message. If you are not sure that a message arrived, send it again with the same one."""
    conversation_id: UUID | None = None
    parent_id: UUID | None = None


class ResumeBody(Body):
    message_id: UUID
    after: Annotated[int, Field(ge=0, le=2**31), WHOLE] = 0
    """How many bytes of the reply's text you have, in UTF-8."""


def _form_of(document: Any) -> str | None:
    members = document.keys() if isinstance(document, dict) else set()
    sends = "content" in members
    return ("send" if sends else "resume") if sends != ("message_id" in members) else None


ONE_OF_BOTH = Discriminator(
    _form_of, custom_error_type="one_of", custom_error_message="Send either content or message_id with after"
)


class StreamBody(
    OneOfBody[Annotated[Annotated[SendEventBody, Tag("send")] | Annotated[ResumeBody, Tag("resume")], ONE_OF_BOTH]]
):
    """Send a message, or read a reply on."""


class StreamStart(ReplyStart):
    type: Literal["start"]
    offset: int
    """0: no text has come yet."""


class StreamDelta(AnswerBody):
    type: Literal["delta"]
    conversation_id: UUID
    message_id: UUID
    offset: int
    """How many bytes of the reply's text there are with this piece, in UTF-8."""
    text: str


class StreamEnd(ReplyEnd):
    type: Literal["end"]
    conversation_id: UUID
    message_id: UUID
    offset: int


class StreamError(AnswerBody):
    type: Literal["error"]
    conversation_id: UUID
    message_id: UUID
    offset: int
    problem: dict[str, Any]
    """A problem document."""


class StreamTold(RootModel[Annotated[StreamStart | StreamDelta | StreamEnd | StreamError, Discriminator("type")]]):
    """A piece of a reply in a conversation that the socket joined."""


class TypingTold(AnswerBody):
    conversation_id: UUID
    seconds: int
    """How long to show it. There is no event at its end."""


class ConversationUpdated(AnswerBody):
    conversation_id: UUID | None
    """Null: several may have changed. List them again."""
    deleted: bool = False
    conversation: ConversationAnswer | None = None
