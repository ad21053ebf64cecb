"""What the routes of conversations and of their messages take and answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from capabilities.chat.conversations.title import LONGEST_TITLE
from capabilities.chat.models import MessageRole, MessageState, TitleSource
from metering.usage.bodies import Cents
from security.api.cursor import ListAnswer, ListQuery
from security.api.days import Day
from security.api.models import WHOLE, AnswerBody, Body, OneOfBody
from security.api.typed_text import NOT_BLANK, ONE_LINE, SEEN, trims

LONGEST_SYSTEM_PROMPT = 8_000
LONGEST_MESSAGE = 32_000
LONGEST_COMMENT = 1_000
LONGEST_QUERY = 200

MessageText = Annotated[
    str, Field(min_length=1, max_length=LONGEST_MESSAGE, json_schema_extra={"pattern": SEEN}), NOT_BLANK
]
ModelName = Annotated[str, Field(min_length=1, max_length=100, examples=["fast"])]
MaxTokens = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
Temperature = Annotated[float, Field(ge=0, le=2)]
Title = Annotated[str, Field(max_length=LONGEST_TITLE, pattern=ONE_LINE), trims(LONGEST_TITLE)]
SystemPrompt = Annotated[
    str, Field(min_length=1, max_length=LONGEST_SYSTEM_PROMPT, json_schema_extra={"pattern": SEEN}), NOT_BLANK
]


def _some_id(value: UUID | None) -> UUID | None:
    if value is None:
        raise ValueError("Enter the ID of a message")
    return value


LeafId = Annotated[UUID | None, AfterValidator(_some_id), WithJsonSchema({"type": "string", "format": "uuid"})]
"""None only where it was not sent."""


class ConversationFields(Body):
    """Lengths count characters."""

    title: Title | None = None
    """Null: the first line of the first message."""
    system_prompt: SystemPrompt | None = None
    """Instructions to the model, sent before every message."""
    model: ModelName | None = None
    """A model or an alias, for messages that do not name one. Null: the default of the service."""
    max_tokens: MaxTokens | None = None
    """The longest reply, in tokens of the model. Null: what your plan allows."""
    temperature: Temperature | None = None
    """How varied replies are. Null: the default of the model."""
    pinned: bool = False


class NewConversationBody(ConversationFields):
    pass


class ChangeConversationBody(ConversationFields):
    """Only the fields that you send are changed."""

    archived: bool = False
    current_leaf_id: LeafId = None
    """Shows the branch of this message: down to the newest message below it."""


class ConversationsQuery(ListQuery):
    archived: bool = False
    """`true`: only archived conversations. By default only those that are not."""
    pinned: bool | None = None
    """Only conversations that are pinned, or only those that are not."""


class AllQuery(Body):
    all: Literal[True]
    """Confirms that every conversation is to be deleted."""


class ConversationAnswer(AnswerBody):
    id: UUID
    title: str | None
    """Null until there is a message."""
    title_source: TitleSource | None
    system_prompt: str | None
    model: str | None
    max_tokens: int | None
    temperature: float | None
    pinned: bool
    archived: bool
    current_leaf_id: UUID | None
    """The last message of the current branch. Null while there is no message."""
    message_count: int
    """Of all branches."""
    last_message_at: datetime
    created_at: datetime
    updated_at: datetime


class ConversationsAnswer(ListAnswer):
    conversations: list[ConversationAnswer]


class Branch(StrEnum):
    CURRENT = "current"
    ALL = "all"


class MessagesQuery(ListQuery):
    branch: Branch = Branch.CURRENT
    """`all`: the messages of every branch."""


class ReplyUsage(AnswerBody):
    """Tokens, as the provider counted them."""

    input_tokens: int
    output_tokens: int
    estimated: bool
    """The provider did not say."""


class MessageAnswer(AnswerBody):
    id: UUID
    conversation_id: UUID
    parent_id: UUID | None
    """The message before it. Null for one that begins the conversation."""
    sibling_ids: list[UUID]
    """All versions of this message, this one among them, the oldest first."""
    role: MessageRole
    content: str
    """Of a reply it is Markdown that a model wrote: never show it as HTML without cleaning it."""
    state: MessageState
    """`pending` until a reply begins and `streaming` until it ends: `complete`, `stopped`, or `failed`, with what there was of it."""
    model: str | None
    provider: str | None
    finish_reason: str | None
    """Why the model ended. `length`: at the most tokens that were allowed."""
    error: str | None
    """Why the reply failed."""
    usage: ReplyUsage | None
    cost_cents: Cents
    rating: int
    """-1, 0 or 1."""
    rating_comment: str | None
    created_at: datetime
    edited_at: datetime | None
    finished_at: datetime | None


class MessagesAnswer(ListAnswer):
    messages: list[MessageAnswer]


class RateBody(Body):
    """For a reply."""

    rating: Annotated[int, Field(ge=-1, le=1), WHOLE]
    """1: good, -1: bad, 0: neither."""
    rating_comment: Annotated[str, Field(max_length=LONGEST_COMMENT)] | None = None


class EditBody(Body):
    """For a message of yours. To keep the old one, send a new one with the same `parent_id` instead."""

    content: MessageText


def _form_of(document: Any) -> str | None:
    members = document.keys() if isinstance(document, dict) else set()
    edits = "content" in members
    return ("edit" if edits else "rate") if edits != bool(members & {"rating", "rating_comment"}) else None


ONE_CHANGE = Discriminator(
    _form_of, custom_error_type="one_of", custom_error_message="Send either content or rating with rating_comment"
)


class ChangeMessageBody(
    OneOfBody[Annotated[Annotated[RateBody, Tag("rate")] | Annotated[EditBody, Tag("edit")], ONE_CHANGE]]
):
    """Send `rating` for a reply, `content` for a message of yours."""


class ExportFormat(StrEnum):
    JSON = "json"
    MARKDOWN = "markdown"


class ExportQuery(Body):
    format: ExportFormat = ExportFormat.JSON
    """`json`: every branch. `markdown`: the current branch, to be read by people."""


class ConversationExport(AnswerBody):
    conversation: ConversationAnswer
    messages: list[MessageAnswer]
    """Of every branch, the oldest first."""


class SearchQuery(ListQuery):
    q: Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY, json_schema_extra={"pattern": SEEN}), NOT_BLANK]
    """Words that a message has, in any order. `"several words"` must follow one another, `or` is between alternatives, and `-word`
    must not occur."""
    from_: Annotated[Day | None, Field(alias="from", examples=["2026-01-01"])] = None
    """The first day (UTC)."""
    to: Annotated[Day | None, Field(examples=["2026-01-31"])] = None
    """The last day (UTC)."""


class SnippetPart(AnswerBody):
    text: str
    match: bool
    """It is one of the words that were looked for."""


class FoundIn(AnswerBody):
    id: UUID
    title: str | None


class FoundMessage(AnswerBody):
    id: UUID
    conversation: FoundIn
    role: MessageRole
    created_at: datetime
    snippet: list[SnippetPart]
    """A piece of the message around the words. It is plain text."""


class SearchAnswer(ListAnswer):
    messages: list[FoundMessage]
