"""No word of a conversation stands in a log line, a report to Sentry, a metric, the body of an error or the name of a Redis key, and
Redis itself forgets what it was lent.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from security.logs.folder import FILES
from tests.conftest import administer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.sentry_ingest import Ingest, sentry_ingest
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.server_events import event_stream
from tests.whole.web_server import Person, Reply, WebServer

METRICS_TOKEN = secrets.token_urlsafe(48)
MESSAGES, CONVERSATIONS = "/api/gateway/chat/messages", "/api/gateway/conversations"
COMPLETIONS = "/api/gateway/openai/v1/chat/completions"
WORDS = ("message", "edit", "prompt", "title", "reply", "comment", "tool", "search", "model")
TTL_SECONDS = 600
SPOILED = (
    "ALTER TABLE chat_messages ADD CONSTRAINT spoiled CHECK (length(content) < 3) NOT VALID",
    "ALTER TABLE chat_conversations ADD CONSTRAINT spoiled CHECK (length(title) < 3) NOT VALID",
)
"""PostgreSQL repeats the whole row in the error that a broken constraint makes."""


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    with sentry_ingest() as ingest:
        yield ingest


@pytest.mark.slow
def test_no_word_of_a_conversation_is_told_to_anybody_else(
    start_web_server: StartWebServer,
    *,
    database_url: str,
    redis_url: str,
    ai: AIServer,
    sentry: Ingest,
    tmp_path: Path,
) -> None:
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    environ = {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        **ai_environment(ai),
        "LOG_LEVEL": "DEBUG",
        "LOG_DIR": str(log_dir),
        "SENTRY_DSN": sentry.dsn,
        "METRICS_TOKEN": METRICS_TOKEN,
        "CHAT_DEFAULT_MODEL": "gpt-6-luna",
        "CHAT_STREAM_TTL_S": str(TTL_SECONDS),
        "CHAT_WITHOUT_DATABASE_S": "1",
    }
    server = start_web_server(environ, processes=1)
    alice = server.register("alice")
    ask(database_url, "UPDATE users SET tier = 'enterprise'")
    talk = Talk(server, alice, ai, {word: f"canary{secrets.token_hex(8)}" for word in WORDS})
    talk.everything()
    talk.trouble()

    kept = redis.Redis.from_url(redis_url)
    names = [name.decode() for name in kept.scan_iter()]
    texts = {name: kept.get(name) for name in names if kept.type(name) == b"string"}
    copies = [name for name, text in texts.items() if isinstance(text, bytes) and talk.found(text)]
    assert copies  # so it was there to be found
    assert all(0 < kept.ttl(name) <= TTL_SECONDS for name in copies)

    for statement in SPOILED:
        administer(database_url, statement)
    talk.unexpected()
    metrics = server.get("/metrics", METRICS_TOKEN)
    eventually(lambda: len(sentry.events()) >= server.output().count('"exception":'), seconds=30)
    server.stop()

    assert {400, 404, 409, 422, 500, 502} <= {error.status for error in talk.errors}
    assert sentry.events()
    assert "mirroros_chat_replies_ended_total" in metrics.body.decode()
    logs = {name: (log_dir / name).read_text() for name in FILES}
    told = {"output": server.output(), "Sentry": sentry.text, "metrics": metrics.body.decode(), "keys": " ".join(names)}
    for place, text in (told | logs).items():
        assert text
        assert talk.found(text.encode()) == [], place
    for error in talk.errors:
        assert talk.found(f"{error.headers}{error.body.decode()}".encode()) == []


class Talk:
    """What alice says and is told, with a canary in each kind of text. `errors`: what she was answered that was one."""

    def __init__(self, server: WebServer, alice: Person, ai: AIServer, canaries: dict[str, str]) -> None:
        self.server, self.alice, self.ai, self.canaries = server, alice, ai, canaries
        self.errors: list[Reply] = []

    def found(self, text: bytes) -> list[str]:
        return [word for word, canary in self.canaries.items() if canary.encode() in text]

    def ask(self, method: str, path: str, body: object = None, *, status: int | None = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        reply = self.server.ask(method, path, body, self.alice.access_token, headers=named)
        if reply.status >= 400:
            self.errors.append(reply)
        assert status in {None, reply.status}, reply.body
        return reply

    def send(self, status: int | None = 200, **fields: object) -> Any:
        reply = self.ask("POST", MESSAGES, {"content": f"Say {self.canaries['message']}", **fields}, status=status)
        return reply.json()

    def complete(self, status: int | None = 200, **members: object) -> Reply:
        """With a key, under which the answer is kept."""
        asked = [{"role": "user", "content": self.canaries["prompt"]}]
        body, key = {"model": "gpt-6-luna", "messages": asked, **members}, secrets.token_hex(8)
        return self.ask("POST", COMPLETIONS, body, status=status, Idempotency_Key=key)

    def answers(self, **more: Any) -> None:
        self.ai.next.add(NextAnswer(text=f"It is {self.canaries['reply']}. " * 9, chunk_tokens=2, **more))

    def everything(self) -> None:
        """Each request once, and each with its text."""
        text = self.canaries
        fields = {"title": text["title"], "system_prompt": text["prompt"]}
        conversation = str(self.ask("POST", CONVERSATIONS, fields, status=201).json()["id"])
        self.answers()
        sent = self.send(conversation_id=conversation)
        assert text["reply"] in sent["reply"]["content"]
        own, reply = sent["message"]["id"], sent["reply"]["id"]
        self.answers()
        again = {"conversation_id": conversation, "message_id": reply}
        events = self.ask("POST", f"{MESSAGES}/regenerate", again, status=200, Accept="text/event-stream")
        assert b"event: end" in events.body
        self.ask("GET", f"{MESSAGES}/{reply}/stream?after=8", status=200)
        self.ask("PATCH", f"{MESSAGES}/{reply}", {"rating": 1, "rating_comment": text["comment"]}, status=200)
        self.ask("PATCH", f"{MESSAGES}/{own}", {"content": text["edit"]}, status=200)
        for word in ("reply", "search"):
            self.ask("GET", f"/api/gateway/chat/search?q={text[word]}", status=200)
        for kind in ("json", "markdown"):
            exported = self.ask("GET", f"{CONVERSATIONS}/{conversation}/export?format={kind}", status=200)
            assert self.found(exported.body)
        self.ask("PATCH", f"{CONVERSATIONS}/{conversation}", {"title": f"New {text['title']}"}, status=200)
        for stream in (False, True):
            self.answers()
            assert b"canary" in self.complete(stream=stream).body
        function = {"name": "weather", "description": text["tool"], "parameters": {"type": "object"}}
        self.complete(tools=[{"type": "function", "function": function}])

    def trouble(self) -> None:
        """What is refused, what breaks in the middle, and what is stopped."""
        text, ai = self.canaries, self.ai
        self.send(422, colour=text["message"])
        self.send(422, model=text["model"])
        self.send(404, conversation_id="01900000-0000-7000-8000-000000000000")
        self.complete(422, model=text["model"])
        self.complete(422, response_format=text["tool"])
        self.complete(422, messages=[{"role": text["tool"], "content": text["prompt"]}])
        self.ask("POST", MESSAGES, f'{{"content": "{text["message"]}'.encode(), status=400)
        self.ask("GET", f"/api/gateway/chat/search?q={text['search'] * 10}", status=422)
        self.ask("GET", f"{CONVERSATIONS}?cursor={text['search']}", status=422)
        self.ask("GET", f"/api/gateway/openai/v1/models/{text['model']}", status=404)
        for answer in ({"cut_after_chunks": 3}, {"error_after_chunks": 3}, {"garbage_after_chunks": 3}):
            self.answers(**answer)
            self.send(502)
            self.answers(**answer)
            self.complete(502)
        ai.next.add(NextAnswer(status=500))
        self.send(502)
        ai.next.add(NextAnswer(body=text["reply"]))
        self.send(502)
        self.answers(stall_after_chunks=4)
        with event_stream(
            self.server, "POST", MESSAGES, self.alice.access_token, {"content": text["message"]}
        ) as stream:
            started = next(stream.events()).data
            self.send(409, conversation_id=started["conversation_id"])
            stopped = self.ask("POST", f"{MESSAGES}/{started['message_id']}/stop", status=200).json()
        assert stopped["state"] == "stopped"

    def unexpected(self) -> None:
        """The database refuses each text, and says so with all of it."""
        assert self.send(500)["error"] == "internal_error"
        self.answers()
        self.send(None, content="Hi")
        self.ask("POST", CONVERSATIONS, {"title": self.canaries["title"]}, status=500)
