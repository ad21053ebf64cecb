"""What the routes of image solving take and answer."""

from typing import Annotated, Literal

from pydantic import Field

from capabilities.solve.pictures.read_header import Format
from capabilities.solve.sent_picture import SentPicture
from security.api.models import AnswerBody, Body
from security.api.typed_text import NOT_BLANK, SEEN

DEFAULT_PROMPT = "Solve this math problem"
AnswerFormat = Literal["text", "steps"]


class SolveFields(Body):
    """What is said about a picture. Lengths count characters."""

    prompt: Annotated[str, Field(min_length=1, max_length=4000, json_schema_extra={"pattern": SEEN}), NOT_BLANK] = (
        DEFAULT_PROMPT
    )
    """What to do with the picture."""
    format: AnswerFormat = "text"
    """`steps` also splits the solution into steps."""
    model: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """A model that reads pictures. By default the service chooses one."""


class SolveBody(SolveFields):
    image: SentPicture
    """A JPEG, PNG, WebP or GIF in base64, also as `data:image/png;base64,…`."""


class TokensUsed(AnswerBody):
    input_tokens: int
    output_tokens: int
    estimated: bool
    """The provider did not say."""


class SentToProvider(AnswerBody):
    format: Format
    width: int
    height: int
    bytes: int


class PictureAnswer(AnswerBody):
    """The picture as you sent it, and what the provider was given: upright, at most 2,048 pixels long, without metadata."""

    format: Format
    width: int
    height: int
    bytes: int
    sent: SentToProvider


class Remaining(AnswerBody):
    """Null means unlimited."""

    day: int | None
    budget_cents: int | None
    """What is left of your monthly budget."""


class SolveAnswer(AnswerBody):
    request_id: str
    answer: str
    """Markdown with LaTeX. It is text that a model wrote: never show it as HTML without cleaning it."""
    steps: list[str] | None
    """With `format: steps`, if the solution could be split; otherwise null."""
    model: str
    provider: str
    mock: bool
    """True in development without a provider: the answer says nothing about the picture."""
    usage: TokensUsed
    image: PictureAnswer
    cost_cents: int
    remaining: Remaining
    response_time_ms: int
