"""Calls of OpenAI, against the stand-in: answers, every trouble it can make, what is told, logged, measured and noted as health."""

import json
import logging
from base64 import b64encode
from typing import Any
from uuid import uuid4

import openai
import pytest
from structlog.testing import capture_logs

from metering.settle import Outcome
from providers.bodies import ProviderStatus
from providers.completion import Finish, Message, Role, estimated_usage
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnreachable,
)
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.metric_values import rising
from tests.providers.questions import LUNA, MESSAGES, MODELS, ask, model_named, png, provider_at
from tests.providers.raw_provider import always, reply, serving
from tests.sandbox.ai_provider import anthropic_sdk, openai_sdk


def test_an_answer_and_what_the_provider_bills_for_it(ai_server: AIServer, provider: HttpProvider) -> None:
    completion = ask(provider)
    (entry,) = ai_server.books.as_json()
    assert (completion.model, completion.provider, completion.mock) == ("gpt-6-luna", "openai", False)
    assert completion.usage.estimated is False
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (
        entry["input_tokens"],
        entry["output_tokens"],
    )
    assert completion.cost_micros == LUNA.cost_micros(entry["input_tokens"], entry["output_tokens"]) > 0
    assert len(entry["pictures"]) == 1
    assert provider.health.read().status is ProviderStatus.UP


def test_our_request_and_answer_are_those_of_the_official_sdk(ai_server: AIServer, provider: HttpProvider) -> None:
    """The stand-in checks both against the package's types, and answers the same question in the same way."""
    ours = ask(provider, most=500)
    with openai.OpenAI(
        api_key=ai_server.keys["openai"], base_url=ai_server.base_url("openai"), max_retries=0
    ) as official:
        theirs = official.chat.completions.create(**sdk_question(500))
    mine, sdks = ai_server.books.as_json()
    for member in ("method", "path", "key", "model", "text_sha256", "pictures", "status", "input_tokens", "billed"):
        assert mine[member] == sdks[member], member
    assert theirs.usage is not None
    assert (ours.text, ours.finish.value) == (theirs.choices[0].message.content, theirs.choices[0].finish_reason)
    assert (ours.usage.input_tokens, ours.usage.output_tokens) == (
        theirs.usage.prompt_tokens,
        theirs.usage.completion_tokens,
    )


def test_the_bytes_we_send_are_those_of_the_official_sdk(http: HttpClient) -> None:
    with serving(always(reply(head="Content-Type: application/json\r\n"))) as raw:
        ask(provider_at(raw.url, "key-1", http), most=500)
        with openai.OpenAI(api_key="key-1", base_url=raw.url, max_retries=0) as official:
            official.chat.completions.create(**sdk_question(500))
    mine, sdks = (request.partition(b"\r\n\r\n") for request in raw.requests)
    assert parsed(mine[2]) == parsed(sdks[2])
    for line in (
        b"POST /v1/chat/completions HTTP/1.1",
        b"authorization: bearer key-1",
        b"content-type: application/json",
    ):
        for head in (mine[0], sdks[0]):
            assert line.lower() in head.lower().split(b"\r\n")


def parsed(body: bytes) -> Any:
    return json.loads(body)


def sdk_question(most: int) -> dict[str, Any]:
    url = f"data:image/png;base64,{b64encode(png()).decode()}"
    user = [{"type": "text", "text": MESSAGES[1].text}, {"type": "image_url", "image_url": {"url": url}}]
    messages = [{"role": "system", "content": MESSAGES[0].text}, {"role": "user", "content": user}]
    return {"model": "gpt-6-luna", "messages": messages, "max_completion_tokens": most}


@pytest.mark.slow
def test_each_provider_answers_as_its_official_sdk_reads_it(ai_server: AIServer, each: HttpProvider) -> None:
    messages, model = [Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Löse: 2x = 4")], MODELS[each.name]
    ours = each.complete(model, messages, max_output_tokens=500, deadline_seconds=10, request_id=uuid4())
    text, tokens = of_official_sdk(ai_server, each.name)
    assert (ours.text, ours.finish, ours.provider, ours.model) == (text, Finish.STOP, each.name, model.id)
    assert (ours.usage.input_tokens, ours.usage.output_tokens, ours.usage.estimated) == (*tokens, False)
    mine, sdks = ai_server.books.as_json()
    for member in (
        "method",
        "path",
        "key",
        "model",
        "text_sha256",
        "status",
        "input_tokens",
        "output_tokens",
        "billed",
    ):
        assert mine[member] == sdks[member], member


def of_official_sdk(server: AIServer, name: str) -> tuple[str | None, tuple[int, int]]:
    asked: Any = [{"role": "user", "content": "Löse: 2x = 4"}]
    if name == "anthropic":
        message = anthropic_sdk(server).messages.create(
            model=MODELS[name].id, max_tokens=500, system="Be brief.", messages=asked
        )
        text = "".join(block.text for block in message.content if block.type == "text")
        return text, (message.usage.input_tokens, message.usage.output_tokens)
    answer = openai_sdk(server, name).chat.completions.create(
        model=MODELS[name].id, max_completion_tokens=500, messages=[{"role": "system", "content": "Be brief."}, *asked]
    )
    assert answer.usage is not None
    return answer.choices[0].message.content, (answer.usage.prompt_tokens, answer.usage.completion_tokens)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_each_provider_is_understood_when_it_refuses(ai_server: AIServer, each: HttpProvider, status: int) -> None:
    kinds = {400: ProviderFailed, 401: ProviderMisconfigured, 429: ProviderBusy, 500: ProviderBroke, 529: ProviderBroke}
    ai_server.next.add(NextAnswer(status=status))
    with pytest.raises(ProviderFailed) as failure:
        ask(each, MODELS[each.name])
    assert type(failure.value) is kinds[status]


def test_each_provider_is_asked_for_free_whether_it_takes_the_key(
    ai_server: AIServer, each: HttpProvider, http: HttpClient
) -> None:
    each.try_key(5)
    wrong = provider_at(ai_server.base_url(each.name), "wrong-key", http, MODELS[each.name])
    with pytest.raises(ProviderMisconfigured):
        wrong.try_key(5)
    entries = list(ai_server.books.as_json())
    assert [(entry["method"], entry["billed"]) for entry in entries] == [("GET", False)] * 2
    assert "/models" in entries[0]["path"]


@pytest.mark.parametrize(
    ("trouble", "failed", "reason"),
    [
        ({"status": 400}, ProviderFailed, "status_400"),
        ({"status": 401}, ProviderMisconfigured, "status_401"),
        ({"status": 403}, ProviderMisconfigured, "status_403"),
        ({"status": 404}, ProviderMisconfigured, "model_not_found"),
        ({"status": 429, "retry_after": 9}, ProviderBusy, "status_429"),
        ({"status": 500}, ProviderBroke, "status_500"),
        ({"status": 503}, ProviderBroke, "status_503"),
        ({"redirect_to": "/openai/v1/chat/completions"}, ProviderFailed, "status_307"),
        ({"reset": True}, ProviderBroke, "connection_lost"),
        ({"cut_after_bytes": 30}, ProviderBroke, "connection_lost"),
        ({"body": "<html>busy</html>"}, ProviderFailed, "reply_malformed"),
        ({"body": ""}, ProviderFailed, "reply_malformed"),
        ({"huge_bytes": 1_100_000}, ProviderFailed, "reply_too_large"),
        ({"finish": "content_filter"}, ContentRefused, "content_filter"),
        ({"finish": "refusal"}, ContentRefused, "refusal"),
    ],
)
def test_every_trouble_is_one_call_and_told_in_our_words(
    ai_server: AIServer, provider: HttpProvider, trouble: dict[str, Any], failed: type[ProviderFailed], reason: str
) -> None:
    ai_server.next.add(NextAnswer(**trouble))
    metric = f'provider="openai",model="gpt-6-luna",outcome="{failed.error}"'
    with (
        capture_logs() as logs,
        rising(mirroros_provider_duration_seconds_count={metric: 1}),
        pytest.raises(ProviderFailed) as raised,
    ):
        ask(provider, most=1_000_000)
    assert (type(raised.value), raised.value.reason, raised.value.sent) == (failed, reason, 1)
    assert len(list(ai_server.books.as_json())) == 1
    (line,) = logs
    loud = failed is ProviderMisconfigured
    assert line == {
        "event": failed.error,
        "provider": "openai",
        "model": "gpt-6-luna",
        "reason": reason,
        "log_level": "error" if loud else "warning",
    }
    assert (provider.health.read().status is ProviderStatus.MISCONFIGURED) is loud


def test_a_slow_answer_in_pieces_that_split_letters_is_read(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(text="Lösung: ½ 🙂 √2", split_utf8=True, trickle_pause_seconds=0.005))
    assert ask(provider).text.startswith("Lösung: ½ 🙂 √2\n√π")


def test_usage_that_is_missing_is_estimated(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(usage="none"))
    completion = ask(provider)
    assert completion.usage.estimated is True
    assert completion.usage.input_tokens == estimated_usage(MESSAGES, 0).input_tokens


def test_an_answer_that_was_cut_at_its_most_tokens_says_so(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(finish="length"))
    assert ask(provider).finish is Finish.LENGTH


def test_what_timed_out_after_sending_may_cost_all_that_it_was_allowed(
    ai_server: AIServer, provider: HttpProvider
) -> None:
    ai_server.next.add(NextAnswer(hold=True))
    try:
        with pytest.raises(ProviderTimedOut) as failure:
            ask(provider, seconds=0.3, most=10_000)
    finally:
        ai_server.next.release()
    assert (failure.value.status, failure.value.outcome) == (504, Outcome.UNKNOWN)
    most = estimated_usage(MESSAGES, 10_000)
    assert failure.value.cost_micros == LUNA.cost_micros(most.input_tokens, 10_000) > 5000


def test_what_was_never_sent_costs_nothing(provider: HttpProvider, http: HttpClient) -> None:
    nobody = provider_at("http://127.0.0.1:1/v1", "key", http)
    with pytest.raises(ProviderUnreachable) as failure:
        ask(nobody)
    assert (failure.value.cost_micros, failure.value.sent, failure.value.outcome) == (0, 0, Outcome.FAILED)
    assert nobody.health.read().status is ProviderStatus.DOWN


def test_a_wrong_key_is_told_to_nobody(ai_server: AIServer, http: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = ai_server.keys["openai"][:-4] + "0000"
    provider = provider_at(ai_server.base_url("openai"), key, http)
    with capture_logs() as logs, pytest.raises(ProviderMisconfigured) as failure:
        ask(provider)
    told = f"{logs} {caplog.text} {failure.value.body('req')} {failure.value!r}"
    assert key[:12] not in told
    assert "platform.openai.com" not in told


def test_a_model_that_was_shut_down_is_our_fault(provider: HttpProvider) -> None:
    with pytest.raises(ProviderMisconfigured):
        ask(provider, model_named("openai", "gpt-4-vision-preview"))


def test_tokens_and_cost_are_counted(ai_server: AIServer, provider: HttpProvider) -> None:
    ask(provider)
    (entry,) = ai_server.books.as_json()
    made = {"input": entry["input_tokens"], "output": entry["output_tokens"]}
    cost = LUNA.cost_micros(entry["input_tokens"], entry["output_tokens"])
    label = 'provider="openai",model="gpt-6-luna"'
    with rising(
        mirroros_provider_tokens_total={f'{label},direction="{way}"': tokens for way, tokens in made.items()},
        mirroros_provider_cost_micros_total={label: cost},
    ):
        ask(provider)
