"""OpenAI's answers: a chat completion, the chunks of one, and the list of models.

Source: developers.openai.com/api/reference/resources/chat, and the types of the `openai` package, which read them in the tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, Field

from capabilities.chat.completions.error_form import OpenAIError, openai_error
from security.api.models import AnswerBody
from security.api.streams import Events
from security.edge.problems import InternalError, Problem
from security.edge.request_id import current_request_id

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
DONE: Final = b"data: [DONE]\n\n"
LEFT_OUT_IF_NONE: Final = Field(default=None, exclude_if=lambda value: value is None)


class CachedTokens(AnswerBody):
    cached_tokens: int


class CompletionUsage(AnswerBody):
    """`completion_tokens` with those of reasoning."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    estimated: bool
    """The provider did not say."""


class FunctionCalled(AnswerBody):
    name: str
    arguments: str
    """JSON, as the model wrote it. It need not be valid."""


class ToolCalled(AnswerBody):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCalled


class RepliedMessage(AnswerBody):
    role: Literal["assistant"] = "assistant"
    content: str | None
    """Text that a model wrote: never show it as HTML without cleaning it."""
    refusal: None = None
    tool_calls: Annotated[list[ToolCalled] | None, LEFT_OUT_IF_NONE]


class CompletionChoice(AnswerBody):
    index: Literal[0] = 0
    message: RepliedMessage
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletion(AnswerBody):
    id: str
    """`chatcmpl-` and the id that the call has in your usage."""
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    """Unix seconds."""
    model: str
    """The model that replied, also where an alias was asked for."""
    system_fingerprint: None = None
    choices: Annotated[list[CompletionChoice], Field(min_length=1, max_length=1)]
    usage: CompletionUsage


class ChunkDelta(AnswerBody):
    role: Annotated[Literal["assistant"] | None, LEFT_OUT_IF_NONE]
    content: Annotated[str | None, LEFT_OUT_IF_NONE]
    tool_calls: Annotated[list[dict[str, Any]] | None, LEFT_OUT_IF_NONE]
    """Pieces of the calls, by their `index`."""


class ChunkChoice(AnswerBody):
    index: Literal[0] = 0
    delta: ChunkDelta
    logprobs: None = None
    finish_reason: FinishReason | None


class ChatCompletionChunk(AnswerBody):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: None = None
    choices: Annotated[list[ChunkChoice], Field(max_length=1)]
    """Empty in the last chunk, which has the usage."""
    usage: Annotated[CompletionUsage | None, LEFT_OUT_IF_NONE]
    """With `stream_options.include_usage`, null in all chunks but the last."""


class CompletionChunks(Events):
    """Events without a name: chunks, and `[DONE]` as the last."""

    def __init__(self) -> None:
        super().__init__(ChatCompletionChunk)
        self.models = (ChatCompletionChunk, OpenAIError)

    def described(self, reference: Any) -> dict[str, Any]:
        data = [reference(ChatCompletionChunk), reference(OpenAIError), {"const": "[DONE]"}]
        return {
            "type": "string",
            "description": "Server-sent events without a name. Their `data` is a `ChatCompletionChunk`, or an "
            "`OpenAIError` after which the stream ends. The last one of a whole reply is `[DONE]`.",
            "contentMediaType": self.media_type,
            "contentSchema": {"type": "array", "items": {"oneOf": data}},
        }

    def last_words(self, error: Exception) -> bytes:
        problem = error if isinstance(error, Problem) else InternalError()
        return event(openai_error(problem.body(current_request_id())))


def event(data: BaseModel) -> bytes:
    return b"data: " + data.__pydantic_serializer__.to_json(data) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Heading:
    """What an answer and each of its chunks begin with. `created` is Unix seconds."""

    id: str
    created: int
    model: str


class ChunkWriter:
    """The chunks of one answer. What all of them share is encoded once, for there may be thousands."""

    def __init__(self, heading: Heading, *, include_usage: bool) -> None:
        self._heading = heading
        self._include_usage = include_usage
        members = {
            "id": heading.id,
            "object": "chat.completion.chunk",
            "created": heading.created,
            "model": heading.model,
            "system_fingerprint": None,
        }
        self._begin = b"data: " + orjson.dumps(members)[:-1] + b',"choices":[{"index":0,"delta":'
        self._usage = b',"usage":null' if include_usage else b""

    def role(self, *, text: bool) -> bytes:
        """The first one. `text`: and not calls of tools alone."""
        return self._chunk(b'{"role":"assistant","content":""}' if text else b'{"role":"assistant","content":null}')

    def text(self, text: str) -> bytes:
        return self._chunk(b'{"content":' + orjson.dumps(text) + b"}")

    def tool_calls(self, pieces: Sequence[Mapping[str, Any]]) -> bytes:
        return self._chunk(b'{"tool_calls":' + orjson.dumps(pieces) + b"}")

    def end(self, finish: FinishReason, usage: CompletionUsage) -> bytes:
        last = self._chunk(b"{}", b'"' + finish.encode() + b'"')
        if self._include_usage:
            told = ChatCompletionChunk(**asdict(self._heading), choices=[], usage=usage)
            last += event(told)
        return last + DONE

    def _chunk(self, delta: bytes, finish: bytes = b"null") -> bytes:
        return b"".join(
            (self._begin, delta, b',"logprobs":null,"finish_reason":', finish, b"}]", self._usage, b"}\n\n")
        )


def chunks_of_whole(completion: ChatCompletion, *, include_usage: bool) -> Iterator[bytes]:
    """A whole answer, as it was stored under an Idempotency-Key, in the form of a stream."""
    (choice,) = completion.choices
    heading = Heading(completion.id, completion.created, completion.model)
    writer = ChunkWriter(heading, include_usage=include_usage)
    yield writer.role(text=choice.message.content is not None)
    if choice.message.content:
        yield writer.text(choice.message.content)
    if choice.message.tool_calls:
        yield writer.tool_calls(
            [{"index": index, **call.model_dump()} for index, call in enumerate(choice.message.tool_calls)]
        )
    yield writer.end(choice.finish_reason, completion.usage)
