"""Replies while web processes are replaced and killed."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import PUBLIC_HOST, ai_environment, production_environment
from tests.whole.real_worker import RealWorker
from tests.whole.web_server import Person, WebServer, new_address

MESSAGES = "/api/gateway/chat/messages"
STREAMS = 50
SLOW = NextAnswer(tokens=120, chunk_tokens=3, tokens_per_second=24)
"""Five seconds."""
FAILED_WITHIN_SECONDS = 60
"""Fifteen of silence, five until the next sweep, and what a busy machine takes."""


@pytest.fixture
def environ(database_url: str, redis_url: str, ai: AIServer) -> dict[str, str]:
    return {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        **ai_environment(ai),
        "CHAT_DEFAULT_MODEL": "gpt-6-luna",
    }


@dataclass
class Read:
    events: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(data["text"] for name, data in self.events if name == "delta")


@contextmanager
def sent(server: WebServer, person: Person, content: str = "hello") -> Iterator[Iterator[tuple[str, Any]]]:
    """The events of a reply, as they come."""
    headers = {
        "Host": PUBLIC_HOST,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": new_address(),
        "Authorization": f"Bearer {person.access_token}",
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
    }
    with closing(server.connection(60)) as connection:
        connection.request("POST", MESSAGES, json.dumps({"content": content}).encode(), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        yield _events(answer)


def _events(answer: Any) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in iter(answer.readline, b""):
        kind, _, value = line.decode().strip().partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value)


def people(server: WebServer, database_url: str, count: int) -> list[Person]:
    registered = [server.register("alice") for _ in range(count)]
    ask(database_url, "UPDATE users SET tier = 'enterprise'")
    return registered


@pytest.mark.slow
def test_processes_are_replaced_under_many_streams_and_none_is_lost(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, ai: AIServer
) -> None:
    server = start_web_server(environ, threads=200)
    clients = people(server, database_url, 5)
    before = {each.pid for each in server.workers()}
    ai.next.add(SLOW, times=STREAMS)

    def read(number: int) -> str:
        with sent(server, clients[number % len(clients)]) as events:
            return [name for name, _ in events][-1]

    with ThreadPoolExecutor(STREAMS) as threads:
        ended = [threads.submit(read, number) for number in range(STREAMS)]
        assert ai.books.wait_for(STREAMS, 30)
        server.send_signal(signal.SIGHUP)
        assert {each.result() for each in ended} == {"end"}
    eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 90)
    states = ask(database_url, "SELECT state, count(*) FROM chat_messages WHERE role = 'assistant' GROUP BY state")
    assert states == [("complete", STREAMS)]


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_waits_for_replies_that_nobody_reads(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, ai: AIServer
) -> None:
    server = start_web_server(environ, processes=1)
    (alice,) = people(server, database_url, 1)
    before = {each.pid for each in server.workers()}
    ai.next.add(SLOW)
    with sent(server, alice) as events:
        assert next(events)[0] == "start"
        assert next(events)[0] == "delta"
    server.send_signal(signal.SIGHUP)
    eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 90)
    ((state, size),) = ask(database_url, "SELECT state, length(content) FROM chat_messages WHERE role = 'assistant'")
    assert (state, size) == ("complete", 480)


@pytest.mark.slow
def test_of_a_killed_process_the_text_stays_and_nothing_is_charged(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, ai: AIServer, tmp_path: Path
) -> None:
    server = start_web_server(environ, processes=1)
    (alice,) = people(server, database_url, 1)
    worker = RealWorker(environ, tmp_path)
    worker.start()
    try:
        ai.next.add(NextAnswer(endless=True, tokens_per_second=30))
        with sent(server, alice) as events:
            seen = Read([next(events) for _ in range(20)])
            for process in server.workers():
                process.kill()
        reply = "SELECT state, error_code, content FROM chat_messages WHERE role = 'assistant' AND state = 'failed'"
        ((_, error, content),) = eventually(lambda: ask(database_url, reply), FAILED_WITHIN_SECONDS, 0.2)
        assert error == "reply_interrupted"
        assert content[:20] == seen.text[:20] != ""
        assert ask(database_url, "SELECT * FROM usage_reservations WHERE lease_until > clock_timestamp()") == []
        assert ask(database_url, "SELECT * FROM usage_counters WHERE used > 0") == []
    finally:
        worker.stop()
