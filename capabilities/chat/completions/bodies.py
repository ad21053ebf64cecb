"""OpenAI's request for a chat completion, as far as it is taken here.

Source: developers.openai.com/api/reference/resources/chat, and the types of the `openai` package. What changes the reply and is
not taken is refused, so nobody gets another reply than was asked for. What changes nothing is taken and ignored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainValidator, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from capabilities.chat.completions.sent_picture import PictureAddress
from security.api.models import WHOLE, Body

LARGEST_BODY: Final = 256 * 1024
MOST_MESSAGES: Final = 200
LONGEST_TEXT: Final = 32_000
MOST_TOOLS: Final = 128
MOST_STOPS: Final = 4
EMPTY_IN_ANSWERS: Final = frozenset({"refusal", "annotations", "audio", "function_call"})
ADDED_BY_CLIENTS: Final = frozenset({"parsed", "parsed_arguments", "index"})
"""What the helpers of OpenAI's clients add to the messages they read, for whoever reads on. It says nothing new."""
NAME: Final = "^[A-Za-z0-9_-]{1,64}$"

Count = Annotated[int, Field(ge=1), WHOLE]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Ignored = Annotated[str, Field(max_length=512)] | None


class _TextOrList:
    """The schema of a list that may also be sent as one text."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class ImageUrl(Body):
    url: PictureAddress
    """`data:image/png;base64,…`, also of JPEG, WebP and GIF. Other addresses are not fetched."""
    detail: Literal["auto", "low", "high"] | None = None


class ContentPart(Body):
    type: Literal["text", "image_url"]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _has_what_its_type_says(self) -> "ContentPart":
        if (self.text is None) != (self.type != "text") or (self.image_url is None) != (self.type != "image_url"):
            raise ValueError(f"A part of the type {self.type} has the member {self.type} and no other")
        return self


def _parts(sent: object) -> object:
    if not sent or not isinstance(sent, str | list):
        raise ValueError("Send a text, or a list of parts, that is not empty")
    return [{"type": "text", "text": sent}] if isinstance(sent, str) else sent


Content = Annotated[list[ContentPart], Field(min_length=1), BeforeValidator(_parts), _TextOrList()]


class SentBack(Body):
    """Part of an answer, which clients send back as they read it."""

    @model_validator(mode="before")
    @classmethod
    def _without_what_says_nothing(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        return {
            name: value
            for name, value in sent.items()
            if name not in ADDED_BY_CLIENTS and (value or name not in EMPTY_IN_ANSWERS)
        }


class CalledFunction(SentBack):
    name: Annotated[str, Field(pattern=NAME)]
    arguments: Annotated[str, Field(max_length=LONGEST_TEXT)]
    """JSON, as the model wrote it."""


class ToolCall(SentBack):
    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: CalledFunction


class CompletionMessage(SentBack):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    """A text, or a list of parts. Only the user's messages may have pictures."""
    name: Annotated[str, Field(pattern=NAME)] | None = None
    """Who speaks, where several do. It is not passed on."""
    tool_calls: Annotated[list[ToolCall], Field(min_length=1, max_length=MOST_TOOLS)] | None = None
    """Of the assistant."""
    tool_call_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Which call a message of a tool answers."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty_content(cls, sent: Any) -> Any:
        """Beside calls of tools, clients make a text of nothing of it."""
        if isinstance(sent, dict) and sent.get("tool_calls") and sent.get("content") == "":
            return {**sent, "content": None}
        return sent

    @model_validator(mode="after")
    def _fits_its_role(self) -> "CompletionMessage":
        if self.content is None and self.tool_calls is None:
            raise ValueError("A message has content")
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError("Only messages of the assistant have tool_calls")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("Messages of tools, and no others, have a tool_call_id")
        if self.role != "user" and any(part.image_url for part in self.content or ()):
            raise ValueError("Only messages of the user have pictures")
        return self

    @property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.content or () if part.text is not None)


class StreamOptions(Body):
    include_usage: bool | None = None
    """One more chunk says at the end what was used."""
    include_obfuscation: bool | None = None
    """It is ignored: chunks are not padded."""


class FunctionTool(Body):
    name: Annotated[str, Field(pattern=NAME)]
    description: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
    parameters: dict[str, Any] | None = None
    """A JSON Schema."""
    strict: bool | None = None


class Tool(Body):
    type: Literal["function"]
    function: FunctionTool


class JsonSchemaFormat(Body):
    name: Annotated[str, Field(pattern=NAME)]
    description: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _has_what_its_type_says(self) -> "ResponseFormat":
        if (self.json_schema is None) != (self.type != "json_schema"):
            raise ValueError("A format of the type json_schema, and no other, has a json_schema")
        return self


def _tool_choice(sent: Any) -> Any:
    if sent in ("none", "auto", "required"):
        return sent
    match sent:
        case {"type": "function", "function": {"name": str() as name}} if len(sent) == 2 and len(sent["function"]) == 1:
            return {"type": "function", "function": {"name": name}}
    raise ValueError('Send none, auto, required or {"type": "function", "function": {"name": "…"}}')


ToolChoice = Annotated[
    Any,
    PlainValidator(_tool_choice),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": ["none", "auto", "required"]}, {"type": "object"}]}),
]


class CompletionBody(Body):
    """`tools`, `tool_choice`, `response_format` and the other options are for models of OpenAI, Google and Groq."""

    model: Annotated[str, Field(min_length=1, max_length=100)]
    """A model of `GET /api/gateway/chat/models`, or an alias of several."""
    messages: Annotated[list[CompletionMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = None
    """Answer in chunks, as server-sent events."""
    stream_options: StreamOptions | None = None
    max_completion_tokens: Count | None = None
    """The longest reply, in tokens. By default as long as your plan and the model allow."""
    max_tokens: Count | None = None
    """The former name of `max_completion_tokens`."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, WHOLE] | None = None
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=MOST_STOPS),
            BeforeValidator(lambda sent: [sent] if isinstance(sent, str) else sent),
            _TextOrList(),
        ]
        | None
    ) = None
    """Up to four texts at which the reply ends."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    """Only one reply is made."""
    logprobs: Literal[False] | None = None
    store: Literal[False] | None = None
    """Nothing is stored."""
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = None
    service_tier: Literal["auto", "default"] | None = None
    """Ignored, as are the members below."""
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    user: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None

    @model_validator(mode="after")
    def _says_one_longest_reply(self) -> "CompletionBody":
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are the same; send one of them")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options are for requests with stream")
        return self

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def options(self) -> Mapping[str, Any]:
        """What is passed on as it came, by its name in the request."""
        sent = self.model_dump(mode="json", by_alias=True, exclude_none=True, include=PASSED_ON)
        return {name: value for name, value in sent.items() if value != {"type": "text"}}


PASSED_ON: Final = {
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "reasoning_effort",
    "verbosity",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
}
