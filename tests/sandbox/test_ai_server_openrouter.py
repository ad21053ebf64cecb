"""OpenRouter's face of the stand-in: its own members, its key, and its errors with a code."""

import json
from typing import Any

import pytest
import requests

from sandbox.ai_server.__main__ import write_settings
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer

SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}, "parts": {"type": "array"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}


def ask(server: AIServer, path: str = "/chat/completions", key: str | None = None, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {server.keys['openrouter'] if key is None else key}"}
    url = f"{server.base_url('openrouter')}{path}"
    if path == "/key":
        return requests.get(url, headers=headers, timeout=10)
    asked = {"model": "openrouter/auto", "messages": [{"role": "user", "content": "hello"}], **body}
    return requests.post(url, json=asked, headers=headers, timeout=10)


def test_an_answer_names_the_model_that_was_chosen(providers: AIServer) -> None:
    answer = ask(providers, response_format=FORM, provider={"require_parameters": True}, max_tokens=100)
    told = answer.json()
    assert (answer.status_code, told["model"], told["provider"]) == (200, "anthropic/claude-sonnet-5.5", "Stand-in")
    assert json.loads(told["choices"][0]["message"]["content"]).keys() == {"command", "parts"}
    assert ask(providers, model="openai/gpt-6-luna").json()["model"] == "openai/gpt-6-luna"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"response_format": FORM}, 400),
        ({"response_format": FORM, "provider": {"require_parameters": False}}, 400),
        ({"provider": {"unknown": True}}, 400),
        ({"unknown": 1}, 400),
        ({"model": "no/model"}, 400),
    ],
)
def test_what_is_refused_says_its_status_as_a_code(providers: AIServer, body: dict[str, Any], status: int) -> None:
    refused = ask(providers, **body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, status)


@pytest.mark.parametrize("path", ["/chat/completions", "/key"])
@pytest.mark.parametrize("status", [401, 402, 403, 408, 429, 502, 503])
@pytest.mark.parametrize("in_body", [False, True])
def test_each_error_comes_as_a_status_or_within_a_200(
    providers: AIServer, path: str, status: int, *, in_body: bool
) -> None:
    providers.next.add(NextAnswer(face="openrouter", status=status, error_in_body=in_body))
    answer = ask(providers, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200 if in_body else status, status)
    assert ask(providers, path).status_code == 200


def test_a_key_is_described_and_a_wrong_one_refused(providers: AIServer) -> None:
    key = providers.keys["openrouter"]
    told = ask(providers, "/key").json()["data"]
    assert (told["label"], told["limit_remaining"], told["is_free_tier"]) == (f"{key[:12]}...{key[-3:]}", 7.5, False)
    assert key not in json.dumps(told)
    for wrong in ("sk-or-v1-wrong", ""):
        assert ask(providers, "/key", wrong).status_code == ask(providers, key=wrong).status_code == 401
    assert ask(providers, "/none").status_code == 404


def test_the_command_writes_its_key_and_address(providers: AIServer, tmp_path: Any) -> None:
    write_settings(providers, tmp_path / "settings.json")
    told = json.loads((tmp_path / "settings.json").read_text())
    assert told["OPENROUTER_API_KEY"].startswith("sk-or-v1-")
    assert told["OPENROUTER_BASE_URL"] == f"{providers.url}/openrouter/api/v1"
