"""Every control, seen through the SDK, and what the books say of it."""

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import MODELS, anthropic_sdk, asked, asked_of_anthropic, openai_sdk, picture

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion


def ask(providers: AIServer, face: str = "openai", timeout: float = 20) -> "ChatCompletion":
    sdk = openai_sdk(providers, face, timeout=timeout)
    return sdk.chat.completions.create(model=MODELS[face], messages=asked())


def ask_anthropic(providers: AIServer) -> Any:
    sdk = anthropic_sdk(providers)
    return sdk.messages.create(model=MODELS["anthropic"], max_tokens=90, messages=asked_of_anthropic(picture()))


def raw(providers: AIServer, *, timeout: float = 10) -> requests.Response:
    headers = {"Authorization": f"Bearer {providers.keys['openai']}"}
    body = {"model": "gpt-6-luna", "messages": asked()}
    url = f"{providers.base_url('openai')}/chat/completions"
    return requests.post(url, json=body, headers=headers, timeout=timeout, allow_redirects=False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
@pytest.mark.parametrize("face", ["openai", "google", "groq", "anthropic"])
def test_an_error_is_an_error_of_the_sdk_and_not_billed(providers: AIServer, face: str, status: int) -> None:
    import anthropic
    import openai

    providers.next.add(NextAnswer(status=status, retry_after=7))
    error: Any = anthropic.APIStatusError if face == "anthropic" else openai.APIStatusError

    def call() -> Any:
        return ask_anthropic(providers) if face == "anthropic" else ask(providers, face)

    with pytest.raises(error) as refused:
        call()
    assert refused.value.status_code == status
    assert refused.value.response.headers["retry-after"] == "7"
    assert [entry.status for entry in providers.books.entries] == [status]
    assert providers.books.billed == []
    call()
    assert len(providers.books.billed) == 1, "one error is used up by one request"


def test_the_next_answers_are_queued_for_each_face(providers: AIServer) -> None:
    providers.next.add(NextAnswer(face="groq", text="for Groq"))
    providers.next.add(NextAnswer(text="one"))
    providers.next.add(NextAnswer(text="two"))
    said = [ask(providers).choices[0].message.content, ask(providers, "groq").choices[0].message.content]
    assert said == ["one", "for Groq"]
    assert ask(providers).choices[0].message.content == "two"
    assert providers.next.waiting == 0


def test_a_refusal_and_a_content_filter(providers: AIServer) -> None:
    providers.next.add(NextAnswer(finish="refusal"))
    providers.next.add(NextAnswer(finish="content_filter"))
    refused, filtered = ask(providers).choices[0], ask(providers).choices[0]
    assert refused.message.content is None and "can't help" in (refused.message.refusal or "")
    assert (filtered.finish_reason, filtered.message.content) == ("content_filter", "")
    providers.next.add(NextAnswer(finish="refusal"))
    assert ask_anthropic(providers).stop_reason == "refusal"


def test_usage_may_be_missing_or_wrong_and_the_books_are_right(providers: AIServer) -> None:
    for usage in ("right", "none", "wrong"):
        providers.next.add(NextAnswer(usage=usage))
    right, missing, wrong = (ask(providers).usage for _ in range(3))
    assert right is not None and missing is None and wrong is not None
    assert wrong.prompt_tokens == 10 * right.prompt_tokens
    billed = {(entry.input_tokens, entry.output_tokens) for entry in providers.books.billed}
    assert billed == {(right.prompt_tokens, right.completion_tokens)}


def test_a_cut_answer_is_billed(providers: AIServer) -> None:
    from openai import APIConnectionError, APIError

    providers.next.add(NextAnswer(cut_after_bytes=40))
    with pytest.raises(APIConnectionError):
        ask(providers)
    providers.next.add(NextAnswer(cut_after_chunks=2))
    stream = openai_sdk(providers).chat.completions.create(model="gpt-6-luna", messages=asked(), stream=True)
    seen: list[object] = []
    with contextlib.suppress(APIError, Exception):
        seen.extend(stream)
    assert len(seen) == 3
    assert len(providers.books.billed) == 2


def test_a_reset_and_a_redirect_are_not_billed(providers: AIServer) -> None:
    from openai import APIConnectionError

    providers.next.add(NextAnswer(reset=True))
    with pytest.raises(APIConnectionError):
        ask(providers)
    providers.next.add(NextAnswer(redirect_to="https://example.com/"))
    answer = raw(providers)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://example.com/")
    assert providers.books.billed == []


@pytest.mark.parametrize(
    "slow", [{"delay_seconds": 30.0}, {"header_pause_seconds": 30.0}, {"stall_after_bytes": 40}, {"hold": True}]
)
def test_a_caller_that_does_not_wait_so_long_gives_up(providers: AIServer, slow: dict[str, Any]) -> None:
    from openai import APITimeoutError

    providers.next.add(NextAnswer(**slow))
    with pytest.raises(APITimeoutError):
        ask(providers, timeout=0.3)
    providers.next.release()
    providers.next.clear()
    assert ask(providers).choices


def test_what_comes_slowly_comes_whole(providers: AIServer) -> None:
    usual = ask(providers).choices[0].message.content
    providers.next.add(NextAnswer(trickle_bytes=100, trickle_pause_seconds=0.01, header_pause_seconds=0.01))
    providers.next.add(NextAnswer(delay_seconds=0.05))
    assert [ask(providers).choices[0].message.content for _ in range(2)] == [usual, usual]


def test_letters_may_be_split(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text="√2", split_utf8=True), times=2)
    assert (ask(providers).choices[0].message.content or "").startswith("√2\n")
    stream = openai_sdk(providers).chat.completions.create(model="gpt-6-luna", messages=asked(), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text.startswith("√2\n") and "😀" in text


def test_garbage_and_a_huge_answer(providers: AIServer) -> None:
    providers.next.add(NextAnswer(body="<html>"))
    assert raw(providers).text == "<html>"
    providers.next.add(NextAnswer(huge_bytes=2_000_000))
    assert len(raw(providers).content) > 2_000_000
    assert len(providers.books.billed) == 2


def test_held_requests_are_counted_until_they_are_released(providers: AIServer) -> None:
    providers.next.add(NextAnswer(hold=True), times=3)
    callers = [threading.Thread(target=raw, args=(providers,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    assert providers.books.wait_for(3)
    assert providers.books.most_at_once == 3
    assert providers.books.billed == []
    providers.next.release()
    for caller in callers:
        caller.join(10)
    assert len(providers.books.billed) == 3


def test_the_books_know_the_caller_and_no_secret(providers: AIServer) -> None:
    sdk = openai_sdk(providers)
    sdk.chat.completions.create(
        model="gpt-6-luna",
        messages=asked(text="a secret question"),
        extra_headers={"X-Client-Request-Id": "call-1", "Idempotency-Key": "key-1"},
    )
    (entry,) = providers.books.entries
    assert (entry.client_request_id, entry.idempotency_key, entry.status) == ("call-1", "key-1", 200)
    assert (entry.key, entry.face, entry.model) == (providers.keys["openai"][-4:], "openai", "gpt-6-luna")
    shown = json.dumps(list(providers.books.as_json()))
    assert "secret question" not in shown and providers.keys["openai"] not in shown


def test_another_process_controls_it_over_http(providers: AIServer) -> None:
    controls = f"{providers.url}/controls"
    set_up = requests.post(f"{controls}/next-answer", json={"status": 500, "times": 2}, timeout=10)
    assert set_up.json() == {"waiting": 2}
    assert [raw(providers).status_code for _ in range(3)] == [500, 500, 200]
    books = requests.get(f"{controls}/books", timeout=10).json()
    assert [each["billed"] for each in books["requests"]] == [False, False, True]
    wrong = requests.post(f"{controls}/next-answer", json={"colour": "red"}, timeout=10)
    assert wrong.status_code == 400 and "status" in wrong.json()["members"]
    assert requests.post(f"{controls}/clear-books", timeout=10).json() == {"requests": []}
    assert requests.post(f"{controls}/release", timeout=10).status_code == 200
    assert requests.post(f"{controls}/clear", timeout=10).json() == {"waiting": 0}
    assert requests.post(f"{controls}/nothing", timeout=10).status_code == 404
