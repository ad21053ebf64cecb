"""GET /health/providers, and the line of `flask check-production`."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from metering.breaker import HealthSign
from providers.assembly import providers_of
from providers.bodies import ProviderStatus
from providers.check_production import find
from providers.completion import Message, Picture, Role
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.mock_provider import MockProvider
from providers.problems import ProviderBroke, ProviderMisconfigured, ProviderUnreachable
from providers.routes import provider_routes
from sandbox.ai_server.server import AIServer
from settings.production_check import CannotAsk
from tests.providers.questions import LUNA, ask, model_named, provider_at
from tests.providers.raw_provider import always, reply, serving
from tests.providers.test_settings import KEY, development

TODAY = date(2026, 11, 30)


def told(*providers: HttpProvider | MockProvider) -> list[dict[str, Any]]:
    app = Flask("health")
    app.register_blueprint(provider_routes({provider.name: provider.health for provider in providers}))
    answer = app.test_client().get("/health/providers")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.get_json()["providers"]
    assert [each["name"] for each in found] == ["openai", "anthropic", "google", "groq"]
    return [each for each in found if each["configured"]]


def test_one_free_question_for_many_askers(ai_server: AIServer, provider: HttpProvider) -> None:
    for _ in range(3):
        (health,) = told(provider)
        assert health["status"] == "up"
    (entry,) = ai_server.books.as_json()
    assert (entry["method"], entry["path"], entry["billed"]) == ("GET", "/openai/v1/models/gpt-6-luna", False)
    assert (health["name"], health["breaker"], health["mock"]) == ("openai", "closed", False)
    assert health["checked_at"] is not None


def test_after_a_call_nobody_is_asked(ai_server: AIServer, provider: HttpProvider) -> None:
    ask(provider)
    assert told(provider)[0]["status"] == "up"
    assert [entry["method"] for entry in ai_server.books.as_json()] == ["POST"]


def wrong_key(server: AIServer, http: HttpClient) -> HttpProvider:
    return provider_at(server.base_url("openai"), "key", http)


def wrong_model(server: AIServer, http: HttpClient) -> HttpProvider:
    gone = model_named("openai", "gpt-4-vision-preview")
    return provider_at(server.base_url("openai"), server.keys["openai"], http, gone)


def nobody(_: AIServer, http: HttpClient) -> HttpProvider:
    return provider_at("http://127.0.0.1:1/v1", "key", http)


Make = Callable[[AIServer, HttpClient], HttpProvider]


@pytest.mark.parametrize(
    ("make", "status"), [(wrong_key, "misconfigured"), (wrong_model, "misconfigured"), (nobody, "down")]
)
def test_what_the_question_shows(ai_server: AIServer, http: HttpClient, make: Make, status: str) -> None:
    assert told(make(ai_server, http))[0]["status"] == status


@pytest.mark.parametrize(
    ("data", "status"), [(reply(b"{}", 404), "up"), (reply(b"{}", 500), "down"), (b"SSH\r\n", "down")]
)
def test_what_other_servers_answer(http: HttpClient, data: bytes, status: str) -> None:
    with serving(always(data, close=True)) as raw:
        assert told(provider_at(raw.url, "key", http))[0]["status"] == status


def test_calls_change_the_state(provider: HttpProvider) -> None:
    seen = []
    for failure in (None, ProviderBroke("cut"), ProviderUnreachable("x"), ProviderMisconfigured("status_401"), None):
        provider.health.note(failure)
        seen.append(provider.health.read().status.value)
    assert seen == ["up", "degraded", "down", "misconfigured", "up"]


def test_an_open_breaker_is_down(provider: HttpProvider) -> None:
    provider.health.note(None)
    for number in range(5):
        provider.breaker.judge(provider.breaker.admit(UUID(int=number)), HealthSign.UNREACHABLE)
    health = provider.health.read()
    assert (health.status, health.breaker.value) == (ProviderStatus.DOWN, "open")


def test_the_mock_answers_the_same_picture_in_the_same_way_and_calls_nobody() -> None:
    mock = MockProvider("openai")
    texts = {
        mock.complete(
            LUNA,
            [Message(Role.USER, text, [Picture("image/png", data)] if data else [])],
            max_output_tokens=100,
            deadline_seconds=1,
            request_id=UUID(int=0),
        ).text
        for text, data in (("a", b"1"), ("b", b"1"), ("a", b"2"), ("a", b""), ("b", b""))
    }
    assert len(texts) == 4
    first, again, shorter = ask(mock), ask(mock), ask(mock, most=1)
    assert first == again
    assert (first.mock, first.cost_micros, first.usage.estimated) == (True, 0, True)
    assert shorter.usage.output_tokens == 1
    assert (told(mock)[0]["status"], told(mock)[0]["mock"]) == ("up", True)


def test_the_settings_choose_the_provider() -> None:
    for changes, mock in (({}, True), ({"OPENAI_API_KEY": KEY}, False)):
        built = providers_of(development(**changes))
        assert built.of(LUNA).mock is mock
        assert [check.name for check in built.checks] == ["AI provider OpenAI"]


def test_check_production_is_content_with_what_works(ai_server: AIServer, provider: HttpProvider) -> None:
    assert not list(find(provider, TODAY))
    assert [entry["billed"] for entry in ai_server.books.as_json()] == [False]


def shortcomings(provider: HttpProvider | MockProvider) -> list[tuple[str, bool]]:
    return [(each.text, each.fails) for each in find(provider, TODAY)]


def test_check_production_names_what_is_missing(ai_server: AIServer, provider: HttpProvider, http: HttpClient) -> None:
    assert shortcomings(MockProvider("openai")) == [("The mock is on, which solves nothing.", True)]
    assert shortcomings(wrong_key(ai_server, http)) == [
        ("OpenAI does not accept the key or the model gpt-6-luna (status_401).", True)
    ]
    assert shortcomings(wrong_model(ai_server, http)) == [
        ("The model gpt-4-vision-preview was shut down on 2024-12-06.", True),
        ("OpenAI does not accept the key or the model gpt-4-vision-preview (model_not_found).", True),
    ]
    soon = provider_at(ai_server.base_url("openai"), ai_server.keys["openai"], http, model_named("openai", "gpt-4o"))
    assert shortcomings(soon) == [("The model gpt-4o will be shut down on 2027-01-14.", False)]
    with pytest.raises(CannotAsk, match="OpenAI does not answer"):
        shortcomings(nobody(ai_server, http))


def test_check_production_waits_for_a_busy_provider(http: HttpClient) -> None:
    with serving(always(reply(b"{}", 429))) as raw:
        assert shortcomings(provider_at(raw.url, "key", http)) == [("OpenAI's limit for this key is reached.", False)]
