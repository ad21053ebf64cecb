"""OpenAI's wire format: what is sent, and that no answer, however strange, is more than an answer or a ProviderFailed."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.catalogue import Model
from providers.chat_completions import ChatCompletions
from providers.completion import NO_OPTIONS, Completion, Finish, Prompt, TokenUsage, estimated_usage
from providers.http_client import Reply
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
)
from tests.providers.questions import LUNA, MESSAGES, PROMPT


def answer(**changes: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "x = 2", "refusal": None},
        "finish_reason": "stop",
    }
    return {"choices": [choice], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 3}, **changes}


def choice(finish: str = "stop", **message: Any) -> dict[str, Any]:
    return answer(choices=[{"message": {"content": "x = 2", **message}, "finish_reason": finish}])


def read(document: object, status: int = 200, retry_after: str | None = None, model: Model = LUNA) -> Completion:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return ChatCompletions().read(Reply(status, retry_after, body), model, PROMPT)


def failure(document: object, status: int = 200, retry_after: str | None = None) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as raised:
        read(document, status, retry_after)
    return raised.value


def requested(prompt: Prompt = PROMPT, model: Model = LUNA, **changes: Any) -> Any:
    wire = ChatCompletions(names=changes.pop("names", True))
    asked = {"max_output_tokens": 100, "temperature": None, "options": NO_OPTIONS, "stream": False, **changes}
    return orjson.loads(wire.request(model, prompt, **asked))


def test_pictures_are_sent_as_data_and_plain_messages_as_text() -> None:
    document = requested()
    assert document["max_completion_tokens"] == 100
    system, user = document["messages"]
    assert system == {"role": "system", "content": "You solve problems of mathematics."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


def test_an_answer_has_its_text_usage_and_cost() -> None:
    completion = read(answer())
    assert completion == Completion(
        "x = 2", "gpt-6-luna", "openai", TokenUsage(1_000_000, 3, estimated=False), Finish.STOP, cost_micros=100_002
    )
    assert read(choice("length")).finish is Finish.LENGTH


def test_a_model_without_a_price_costs_nothing_that_is_known() -> None:
    assert read(answer(), model=Model("openai", "gpt-next", pictures=True)).cost_micros == 0


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": "5", "completion_tokens": 3},
        {"prompt_tokens": 1.5, "completion_tokens": 3},
        {"prompt_tokens": 10**15, "completion_tokens": 3},
    ],
)
def test_usage_that_is_missing_or_cannot_be_is_estimated(usage: object) -> None:
    assert read(answer(usage=usage)).usage == estimated_usage(MESSAGES, 2)
    assert estimated_usage(MESSAGES, 2).input_tokens > 1536


@pytest.mark.parametrize("document", [choice("content_filter"), choice(refusal="I cannot", content=None)])
def test_a_refusal_is_told_and_its_cost_is_known(document: object) -> None:
    refused = failure(document)
    assert isinstance(refused, ContentRefused)
    assert (refused.status, refused.error, refused.cost_micros) == (422, "content_refused", 100_002)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"NaN",
        b"\xff",
        b"{" * 100_000,
        {},
        answer(choices=[]),
        answer(choices={"0": 1}),
        answer(choices=[None]),
        answer(choices=[{"message": None, "finish_reason": "stop"}]),
        answer(choices=[{"message": {"content": "x"}}]),
        choice(content=None),
        choice(content=["x"]),
        choice(content=" \n"),
        choice(content="a\0b"),
        choice("tool_calls"),
        choice("next_year"),
        b'{"choices":[{"message":{"content":"\\ud800"},"finish_reason":"stop"}]}',
    ],
)
def test_what_is_no_answer_fails(document: object) -> None:
    failed = failure(document)
    assert (type(failed), failed.status, failed.error) == (ProviderFailed, 502, "provider_failed")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (307, None, ProviderFailed),
        (400, None, ProviderFailed),
        (400, "image_parse_error", ProviderFailed),
        (400, "content_policy_violation", ContentRefused),
        (400, "invalid_prompt", ContentRefused),
        (401, "invalid_api_key", ProviderMisconfigured),
        (402, None, ProviderMisconfigured),
        (403, None, ProviderMisconfigured),
        (404, "model_not_found", ProviderMisconfigured),
        (400, "model_not_found", ProviderMisconfigured),
        (404, "unknown_url", ProviderMisconfigured),
        (413, None, ProviderFailed),
        (429, "rate_limit_exceeded", ProviderBusy),
        (429, "insufficient_quota", ProviderMisconfigured),
        (500, None, ProviderBroke),
        (503, "content_filter", ProviderBroke),
        (529, None, ProviderBroke),
    ],
)
def test_errors_of_the_provider(status: int, code: str | None, kind: type[ProviderFailed]) -> None:
    said = "Incorrect key: the words of the provider"
    failed = failure({"error": {"message": said, "code": code}}, status)
    assert type(failed) is kind
    assert said not in f"{failed} {failed.reason} {failed.body('req')}"


@pytest.mark.parametrize(
    ("given", "told"), [(None, "5"), ("7", "7"), ("0", "1"), ("99999", "300"), ("Fri, 1 Jan", "5"), ("²", "5")]
)
def test_a_busy_provider_says_when_to_come_back(given: str | None, told: str) -> None:
    busy = failure({}, 429, given)
    assert (busy.status, busy.error, busy.headers) == (429, "service_busy", {"Retry-After": told})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "content", "refusal", "finish_reason", "usage", "prompt_tokens", "error", "code"]
        ),
        children,
        max_size=4,
    ),
    max_leaves=12,
)
STATUS = st.sampled_from([200, 204, 301, 400, 401, 404, 429, 500])


@settings(max_examples=40)
@given(JSON, STATUS)
def test_no_document_breaks_the_reading(document: object, status: int) -> None:
    looks_like_one = {"choices": [{"message": document, "finish_reason": "stop"}], "usage": document}
    for each in (document, looks_like_one):
        try:
            completion = read(orjson.dumps(each), status)
        except ProviderFailed:
            continue
        assert completion.text.encode()
        assert completion.usage.input_tokens >= 0 <= completion.cost_micros


@settings(max_examples=40)
@given(st.binary(max_size=200), STATUS)
def test_no_bytes_break_the_reading(body: bytes, status: int) -> None:
    with pytest.raises(ProviderFailed):
        read(body, status)
