"""OpenAI's wire format "chat completions": the request, and a strict reading of the answer.

Source: developers.openai.com/api/reference/resources/chat, and the types of the `openai` package, with which the tests compare it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import orjson
from pybase64 import b64encode_as_string

from providers.catalogue import Model
from providers.completion import Completion, Finish, Message, TokenUsage, estimated_usage, tokens_of
from providers.http_client import Reply
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
)

MOST_TOKENS = 100_000_000
"""No call takes more, whatever an answer says."""
MODEL_NOT_FOUND = "model_not_found"
OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes of a 429 that no waiting mends."""
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
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
"""What neither PostgreSQL nor UTF-8 can hold."""


def request_document(model: Model, messages: Sequence[Message], max_output_tokens: int) -> bytes:
    return orjson.dumps(
        {
            "model": model.id,
            "messages": [{"role": message.role.value, "content": _content(message)} for message in messages],
            "max_completion_tokens": max_output_tokens,
        }
    )


def read_completion(reply: Reply, model: Model, messages: Sequence[Message]) -> Completion:
    """Raises a ProviderFailed."""
    if reply.status != 200:
        raise failure_of(reply)
    try:
        document = orjson.loads(reply.body)
        choice = document["choices"][0]
        message, finish = choice["message"], choice["finish_reason"]
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ProviderFailed("reply_malformed") from None
    usage = _usage(document.get("usage"), messages, text if isinstance(text, str) else "")
    cost = model.cost_micros(usage.input_tokens, usage.output_tokens)
    if finish == "content_filter" or refusal:
        raise ContentRefused("content_filter" if finish == "content_filter" else "refusal", cost_micros=cost)
    if finish not in ("stop", "length") or not isinstance(text, str) or NOT_TEXT.search(text):
        raise ProviderFailed("reply_malformed", cost_micros=cost)
    if not text.strip():  # all it was allowed went into reasoning
        raise ProviderFailed("reply_empty", cost_micros=cost)
    return Completion(text, model.id, model.provider, usage, Finish(finish), cost)


def failure_of(reply: Reply) -> ProviderFailed:
    """What an answer means that is not 200."""
    status, reason, code = reply.status, f"status_{reply.status}", error_code(reply.body)
    if status == 429:
        return ProviderMisconfigured(code) if code in OUT_OF_MONEY else ProviderBusy(reply.retry_after)
    if code == MODEL_NOT_FOUND:
        return ProviderMisconfigured(MODEL_NOT_FOUND)
    if status in {401, 402, 403, 404}:  # there is nothing else that this path could not know
        return ProviderMisconfigured(reason)
    if 400 <= status < 500 and code in CONTENT_CODES:
        return ContentRefused("content_filter")
    return ProviderBroke(reason) if status >= 500 else ProviderFailed(reason)


def error_code(body: bytes) -> str:
    """The code of an error, to compare it; empty when there is none."""
    try:
        code = orjson.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return code if isinstance(code, str) else ""


def _content(message: Message) -> str | list[Mapping[str, Any]]:
    if not message.pictures:
        return message.text
    parts: list[Mapping[str, Any]] = [{"type": "text", "text": message.text}]
    for picture in message.pictures:
        url = f"data:{picture.media_type};base64,{b64encode_as_string(picture.data)}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _usage(given: object, messages: Sequence[Message], text: str) -> TokenUsage:
    if isinstance(given, dict):
        taken, made = given.get("prompt_tokens"), given.get("completion_tokens")
        if _is_count(taken) and _is_count(made):
            return TokenUsage(taken, made, estimated=False)
    return estimated_usage(messages, tokens_of(len(text)))


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MOST_TOKENS
