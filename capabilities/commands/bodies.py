"""What the routes of help with commands take and answer."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from capabilities.commands.risk import Risk
from security.api.models import AnswerBody, Body
from security.api.typed_text import NOT_BLANK, SEEN

LONGEST_COMMAND = 8 * 1024
LARGEST_OUTPUT = 16 * 1024
"""In bytes of UTF-8."""
LARGEST_BODY = 128 * 1024
"""Of JSON, in which an output may be six times as long as it is."""


def _of_bytes(text: str) -> str:
    if len(text.encode(errors="surrogatepass")) > LARGEST_OUTPUT:
        raise ValueError("Send at most 16 KiB: the end of the output says most")
    return text


Command = Annotated[
    str, Field(min_length=1, max_length=LONGEST_COMMAND, json_schema_extra={"pattern": SEEN}), NOT_BLANK
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/ -]{0,39}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9~][A-Za-z0-9._:/-]{0,99}$")]
ApiKey = Annotated[SecretStr, Field(min_length=1, max_length=500)]


class WithKey(Body):
    api_key: ApiKey | None = None
    """Your key for OpenRouter, if you do not send it in `X-OpenRouter-Key`. It is used for this request alone and kept nowhere."""


class OpenRouterKeyBody(WithKey):
    """Which key is looked up."""


class AskBody(WithKey):
    model: ModelName | None = None
    """A model that OpenRouter offers and that answers in a given form. By default the service chooses."""


class SuggestBody(AskBody):
    description: Annotated[str, Field(min_length=1, max_length=2000, json_schema_extra={"pattern": SEEN}), NOT_BLANK]
    """What the command should do, in your words."""
    shell: Name | None = None
    """The shell that it is for, such as `bash`."""
    os: Name | None = None
    """The system that it runs on, such as `Ubuntu 24.04`."""
    cwd: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The folder that it runs in."""


class ShellCommandBody(AskBody):
    command: Command


class ShellErrorBody(AskBody):
    command: Command | None = None
    """The command that failed."""
    output: Annotated[
        str,
        Field(min_length=1, max_length=LARGEST_OUTPUT, json_schema_extra={"pattern": SEEN}),
        NOT_BLANK,
        AfterValidator(_of_bytes),
    ]
    """What it printed, at most 16 KiB of UTF-8."""
    exit_status: Annotated[int, Field(ge=-255, le=255)] | None = None


class AssessedCommand(AnswerBody):
    """A command to read, and to run only if you want what it does."""

    command: str
    why: str
    risk: Risk
    risk_reasons: list[str]


class CommandPart(AnswerBody):
    text: str
    meaning: str


class ModelUsage(AnswerBody):
    """Tokens, which OpenRouter charges to your account there."""

    input_tokens: int
    output_tokens: int
    estimated: bool
    """OpenRouter did not say."""


class HelpAnswer(AnswerBody):
    redactions: int
    """How many secrets in your text were masked before the model got it."""
    model: str
    """The one that answered."""
    usage: ModelUsage
    request_id: str


class SuggestAnswer(HelpAnswer):
    command: str
    explanation: str
    risk: Risk
    """The least comes from rules of our own; a model can only raise it."""
    risk_reasons: list[str]
    needs_input: list[str]
    """What you have to fill in before you run it."""
    alternatives: list[AssessedCommand]


class ExplainAnswer(HelpAnswer):
    summary: str
    parts: list[CommandPart]
    risk: Risk
    """Of your command. The least comes from rules of our own; a model can only raise it."""
    risk_reasons: list[str]


class ExplainErrorAnswer(HelpAnswer):
    cause: str
    fixes: list[AssessedCommand]


class OptimizeAnswer(HelpAnswer):
    command: str
    changes: list[str]
    risk: Risk
    """Of the new command. The least comes from rules of our own; a model can only raise it."""
    risk_reasons: list[str]


class OpenRouterKeyAnswer(AnswerBody):
    """Money is in US dollars. All but `valid` is null for a key that OpenRouter does not accept."""

    valid: bool
    label: str | None
    """How OpenRouter shows the key."""
    limit: float | None
    """The most that may be spent with it. Null also means without a limit."""
    limit_remaining: float | None
    usage: float | None
    is_free_tier: bool | None
