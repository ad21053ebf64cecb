"""OpenAI's wire format "chat completions", which Google and Groq speak as well: the request, and a strict reading of the answer.

Sources: developers.openai.com/api/reference/resources/chat and the types of the `openai` package, with which the tests compare it;
ai.google.dev/gemini-api/docs/openai; console.groq.com/docs/openai.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import orjson
from pybase64 import b64encode_as_string

from providers.answer_values import NOT_TEXT, WRONG_TYPES, is_count
from providers.catalogue import Model
from providers.completion import (
    Completion,
    Finish,
    Format,
    Message,
    Prompt,
    TokenUsage,
    estimated_usage,
    tokens_of,
)
from providers.events import Event, ToolCalls
from providers.http_client import Reply
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
)
from providers.stream_reader import StreamReader

MODEL_NOT_FOUND = "model_not_found"
OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes of a 429 that no waiting mends."""
WRONG_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
"""Google's reasons for a 400 that is due to our key."""
CONTENT_CODES = frozenset(
    {
        "bio_policy",
        "content_filter",
        "content_policy_violation",
        "image_content_policy_violation",
        "invalid_prompt",
        "misalignment_policy_violation",
    }
)
FINISHES: Final[Mapping[object, Finish]] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}


class ChatCompletions:
    """`names`: whether messages may have the name of who wrote them, which Groq refuses."""

    format = Format.CHAT_COMPLETIONS
    path = "/chat/completions"
    longest_answer = "max_completion_tokens"

    def __init__(self, *, names: bool = True) -> None:
        self._names = names

    def headers(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def call_headers(self, request_id: UUID) -> Mapping[str, str]:
        """How OpenAI's support finds a call (developers.openai.com, "Debugging requests")."""
        return {"X-Client-Request-Id": str(request_id)}

    def model_path(self, model: Model) -> str:
        """A model with a slash in its name cannot be asked for everywhere; the list of all can."""
        return "/models" if "/" in model.id else f"/models/{quote(model.id, safe='')}"

    def knows_model(self, reply: Reply) -> bool:
        """A server without such descriptions answers 404, and that will do."""
        return reply.status == 200 or (reply.status == 404 and error_code(reply.body) != MODEL_NOT_FOUND)

    def request(
        self,
        model: Model,
        prompt: Prompt,
        *,
        max_output_tokens: int,
        temperature: float | None,
        options: Mapping[str, Any],
        stream: bool,
    ) -> bytes:
        taken = {**options, "temperature": temperature}
        document: dict[str, Any] = {
            name: value for name, value in taken.items() if value is not None and name not in model.refuses
        }
        document |= {
            "model": model.id,
            "messages": (
                [{"role": message.role.value, "content": _content(message)} for message in prompt.messages]
                if prompt.as_sent is None
                else [self._as_sent(message) for message in prompt.as_sent]
            ),
            self.longest_answer: max_output_tokens,
        }
        if stream:
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return orjson.dumps(document)

    def _as_sent(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return message if self._names else {name: value for name, value in message.items() if name != "name"}

    def read(self, reply: Reply, model: Model, prompt: Prompt) -> Completion:
        if reply.status != 200:
            raise failure_of(reply)
        try:
            document = orjson.loads(reply.body)
            choice = document["choices"][0]
            message, finish = choice["message"], choice["finish_reason"]
            text, refusal = message.get("content"), message.get("refusal")
        except WRONG_TYPES:
            raise ProviderFailed("reply_malformed") from None
        size = len(text.encode()) if isinstance(text, str) else 0
        usage = usage_told(document.get("usage")) or estimated_usage(prompt.messages, tokens_of(size))
        cost = model.cost_micros(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        if finish == "content_filter" or refusal:
            raise ContentRefused("content_filter" if finish == "content_filter" else "refusal", cost_micros=cost)
        if finish not in ("stop", "length") or not isinstance(text, str) or NOT_TEXT.search(text):
            raise ProviderFailed("reply_malformed", cost_micros=cost)
        if not text.strip():  # all it was allowed went into reasoning
            raise ProviderFailed("reply_empty", cost_micros=cost)
        return Completion(text, model.id, model.provider, usage, Finish(finish), cost)

    def failure_of(self, reply: Reply) -> ProviderFailed:
        return failure_of(reply)

    def reader(self) -> "ChunkReader":
        return ChunkReader()


class ChunkReader(StreamReader):
    """Of the one choice that is asked for. The usage comes in a last chunk without choices, or, at Groq, in `x_groq` of the one that
    finishes.
    """

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        super().__init__()
        self._refused = False

    def _take(self, line: bytes, events: list[Event]) -> None:
        if line == b"[DONE]":
            self.ended = True
            return
        chunk = orjson.loads(line)
        choices = None if isinstance(chunk, list) else chunk.get("choices")
        if choices:
            choice = choices[0]
            delta = choice.get("delta")
            if delta:
                self._take_delta(delta, len(line), events)
            finish = choice.get("finish_reason")
            if finish is not None:
                self.finish = Finish.CONTENT_FILTER if self._refused else FINISHES[finish]
        elif (error := _error_of(chunk)) is not None:
            raise _failure_in_stream(error)
        told = chunk.get("usage") or (chunk["x_groq"].get("usage") if chunk.get("x_groq") else None)
        if told:
            self._report(usage_told(told), events)

    def _take_delta(self, delta: Any, size: int, events: list[Event]) -> None:
        text = delta.get("content")
        if text:
            self._add(text, events)
        if calls := delta.get("tool_calls"):
            self._count(size)
            events.append(ToolCalls({"tool_calls": calls}))
        if delta.get("refusal"):  # in its own words, which are no reply
            self._refused = True


def failure_of(reply: Reply) -> ProviderFailed:
    status, reason, code = reply.status, f"status_{reply.status}", error_code(reply.body)
    if status == 429:
        return ProviderMisconfigured(code) if code in OUT_OF_MONEY else ProviderBusy(reply.retry_after)
    if code == MODEL_NOT_FOUND:
        return ProviderMisconfigured(MODEL_NOT_FOUND)
    if status in {401, 402, 403, 404} or code in WRONG_KEY:  # there is nothing else that this path could not know
        return ProviderMisconfigured(reason)
    if 400 <= status < 500 and code in CONTENT_CODES:
        return ContentRefused("content_filter")
    return ProviderBroke(reason) if status >= 500 else ProviderFailed(reason)


def error_code(body: bytes) -> str:
    """The code of an error, to compare it; empty when there is none."""
    try:
        return _code_of(_error_of(orjson.loads(body)))
    except WRONG_TYPES:
        return ""


def _failure_in_stream(error: object) -> ProviderFailed:
    """What an error means that comes after the 200: there is no other status than one that Google writes into it."""
    code = _code_of(error)
    if code in CONTENT_CODES:
        return ContentRefused("content_filter")
    if code in OUT_OF_MONEY or code == MODEL_NOT_FOUND:
        return ProviderMisconfigured(code)
    if code == "rate_limit_exceeded" or (isinstance(error, dict) and error.get("code") == 429):
        return ProviderBusy(None)
    return ProviderBroke("error_in_stream")


def _error_of(document: Any) -> Any:
    """None when it is none. Google puts its errors into a list."""
    whole = document[0] if isinstance(document, list) else document
    return whole.get("error")


def _code_of(error: Any) -> str:
    """Google's own is the reason of a detail."""
    if not isinstance(error, dict):
        return ""
    reasons = [each.get("reason") for each in error.get("details") or () if isinstance(each, dict)]
    return next((code for code in (error.get("code"), *reasons) if isinstance(code, str)), "")


def usage_told(given: object) -> TokenUsage | None:
    """None for what cannot be. What Gemini thinks, Google tells in the total alone."""
    if not isinstance(given, dict):
        return None
    taken, made, total = (given.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if not is_count(taken) or not is_count(made):
        return None
    if is_count(total):
        made = max(made, total - taken)
    details = given.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return TokenUsage(taken, made, estimated=False, cached_input_tokens=min(cached, taken) if is_count(cached) else 0)


def _content(message: Message) -> str | Sequence[Mapping[str, Any]]:
    if not message.pictures:
        return message.text
    parts: list[Mapping[str, Any]] = [{"type": "text", "text": message.text}]
    for picture in message.pictures:
        url = f"data:{picture.media_type};base64,{b64encode_as_string(picture.data)}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts
