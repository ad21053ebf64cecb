"""Anthropic's wire format "messages": the request, and a strict reading of the answer.

Source: platform.claude.com/docs/en/api/messages, and the types of the `anthropic` package, with which the tests compare it.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
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
    Role,
    TokenUsage,
    estimated_usage,
    tokens_of,
)
from providers.events import Event
from providers.http_client import Reply
from providers.problems import ContentRefused, ProviderBroke, ProviderBusy, ProviderFailed, ProviderMisconfigured
from providers.stream_reader import StreamReader

VERSION = "2023-06-01"
WARMEST = 1.0
"""Of Anthropic's temperatures; OpenAI's go up to 2."""
FINISHES: Final[Mapping[object, Finish]] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.CONTENT_FILTER,
}
OUR_FAULTS = frozenset({"authentication_error", "billing_error", "permission_error", "not_found_error"})


class AnthropicMessages:
    format = Format.ANTHROPIC_MESSAGES
    path = "/v1/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"X-Api-Key": key, "Anthropic-Version": VERSION}

    def call_headers(self, request_id: UUID) -> Mapping[str, str]:
        """Anthropic finds calls by an id of its own alone."""
        return {}

    def model_path(self, model: Model) -> str:
        return f"/v1/models/{quote(model.id, safe='')}"

    def knows_model(self, reply: Reply) -> bool:
        return reply.status == 200

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
        """Raises ValueError for options: they are in another format."""
        if options:
            raise ValueError(f"{model.id} takes no options of OpenAI's format")
        system = "\n\n".join(message.text for message in prompt.messages if message.role is Role.SYSTEM)
        document: dict[str, Any] = {
            "model": model.id,
            "max_tokens": max_output_tokens,
            "messages": _turns([message for message in prompt.messages if message.role is not Role.SYSTEM]),
        }
        if system:
            document["system"] = system
        if temperature is not None and "temperature" not in model.refuses:
            document["temperature"] = min(temperature, WARMEST)
        if stream:
            document["stream"] = True
        return orjson.dumps(document)

    def read(self, reply: Reply, model: Model, prompt: Prompt) -> Completion:
        if reply.status != 200:
            raise self.failure_of(reply)
        try:
            document = orjson.loads(reply.body)
            finish = FINISHES.get(document["stop_reason"])
            text = "".join(block["text"] for block in document["content"] if block["type"] == "text")
        except WRONG_TYPES:
            raise ProviderFailed("reply_malformed") from None
        usage = _usage_told(document.get("usage"), None) or estimated_usage(
            prompt.messages, tokens_of(len(text.encode()))
        )
        cost = model.cost_micros(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        if finish is Finish.CONTENT_FILTER:
            raise ContentRefused("refusal", cost_micros=cost)
        if finish is None or NOT_TEXT.search(text):
            raise ProviderFailed("reply_malformed", cost_micros=cost)
        if not text.strip():
            raise ProviderFailed("reply_empty", cost_micros=cost)
        return Completion(text, model.id, model.provider, usage, finish, cost)

    def failure_of(self, reply: Reply) -> ProviderFailed:
        status, reason = reply.status, f"status_{reply.status}"
        if status == 429:
            return ProviderBusy(reply.retry_after)
        if status in {401, 402, 403, 404}:
            return ProviderMisconfigured(reason)
        return ProviderBroke(reason) if status >= 500 else ProviderFailed(reason)

    def reader(self) -> "MessageReader":
        return MessageReader()


class MessageReader(StreamReader):
    """What the model thinks, and events of kinds that are not known, are passed over."""

    __slots__ = ()

    def _take(self, line: bytes, events: list[Event]) -> None:
        event = orjson.loads(line)
        kind = event["type"]
        if kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                self._add(delta["text"], events)
        elif kind == "content_block_start":
            if event["content_block"]["type"] == "text":
                self._add(event["content_block"]["text"], events)
        elif kind == "message_start":
            self._report(_usage_told(event["message"].get("usage"), None, so_far=True), events)
        elif kind == "message_delta":
            self._report(_usage_told(event.get("usage"), self.usage), events)
            if (reason := event["delta"]["stop_reason"]) is not None:
                self.finish = FINISHES[reason]
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            raise _failure_in_stream(event["error"]["type"])


def _failure_in_stream(kind: object) -> ProviderFailed:
    if kind == "rate_limit_error":
        return ProviderBusy(None)
    if kind in OUR_FAULTS:
        return ProviderMisconfigured(str(kind))
    return ProviderFailed("error_in_stream") if kind == "invalid_request_error" else ProviderBroke("error_in_stream")


def _usage_told(given: object, before: TokenUsage | None, *, so_far: bool = False) -> TokenUsage | None:
    """The figures add up over the whole call, and those of the input stand as they were told `before` when they are not told again.

    `so_far`: the output is still to come. None for what cannot be.
    """
    if not isinstance(given, dict) or not is_count(made := given.get("output_tokens")):
        return None
    fresh = given.get("input_tokens")
    if fresh is None and before is not None:
        return TokenUsage(before.input_tokens, made, estimated=False, cached_input_tokens=before.cached_input_tokens)
    written, cached = (given.get(f"cache_{name}_input_tokens") or 0 for name in ("creation", "read"))
    if not is_count(fresh) or not is_count(written) or not is_count(cached):
        return None
    return TokenUsage(fresh + written + cached, made, estimated=so_far, cached_input_tokens=cached)


def _turns(messages: Sequence[Message]) -> list[Mapping[str, Any]]:
    """Messages of one role that follow each other are one turn."""
    return [
        {"role": role.value, "content": [part for message in turn for part in _parts(message)]}
        for role, turn in groupby(messages, key=lambda message: message.role)
    ]


def _parts(message: Message) -> list[Mapping[str, Any]]:
    parts: list[Mapping[str, Any]] = [
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": picture.media_type,
                "data": b64encode_as_string(picture.data),
            },
        }
        for picture in message.pictures
    ]
    return [*parts, {"type": "text", "text": message.text}] if message.text else parts
