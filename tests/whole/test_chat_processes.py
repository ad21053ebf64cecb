"""Replies while web processes are replaced and killed."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import psutil
import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.whole.chatting import MESSAGES
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.real_worker import RealWorker
from tests.whole.server_events import Streamed, event_stream
from tests.whole.web_server import Person, WebServer

STREAMS = 50
SLOW = NextAnswer(tokens=120, chunk_tokens=3, tokens_per_second=24)
"""Five seconds."""
FAILED_WITHIN_SECONDS = 20
"""Fifteen of silence, and three until the next sweep."""


@pytest.fixture
def environ(database_url: str, redis_url: str, ai: AIServer) -> dict[str, str]:
    return {
        **production_environment(database_url, "https://predict.example.com", redis_url),
        **ai_environment(ai),
        "CHAT_DEFAULT_MODEL": "gpt-6-luna",
    }


def sent(server: WebServer, person: Person) -> AbstractContextManager[Streamed]:
    return event_stream(server, "POST", MESSAGES, person.access_token, {"content": "hello"})


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
        with sent(server, clients[number % len(clients)]) as answer:
            return [event.name for event in answer.events()][-1]

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
    with sent(server, alice) as answer:
        assert [event.name for event in islice(answer.events(), 2)] == ["start", "delta"]
    server.send_signal(signal.SIGHUP)
    eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 90)
    ((state, size),) = ask(database_url, "SELECT state, length(content) FROM chat_messages WHERE role = 'assistant'")
    assert (state, size) == ("complete", 480)


@pytest.mark.slow
def test_of_a_killed_process_the_text_stays_and_nothing_is_charged(
    start_web_server: StartWebServer, environ: dict[str, str], database_url: str, ai: AIServer, tmp_path: Path
) -> None:
    server = start_web_server(environ)
    (alice,) = people(server, database_url, 1)
    worker = RealWorker(environ, tmp_path)
    worker.start()
    worker.wait_until_idle()
    try:
        ai.next.add(NextAnswer(endless=True, tokens_per_second=30))
        with sent(server, alice) as answer:
            start, *deltas = islice(answer.events(), 80)
            seen = "".join(event.data["text"] for event in deltas)
            ((owner,),) = ask(
                database_url, "SELECT split_part(owner, ':', 2)::int FROM chat_messages WHERE owner <> ''"
            )
            (process,) = [each for each in server.workers() if each.pid == owner]
            process.kill()
            killed_at = time.time()
        stream = f"{MESSAGES}/{start.data['message_id']}/stream"
        with event_stream(server, "GET", stream, alice.access_token) as answer:
            *_, last = answer.events()
        assert (last.name, last.data["error"]) == ("error", "reply_interrupted")
        assert time.time() - killed_at < FAILED_WITHIN_SECONDS
        reply = "SELECT error_code, content, extract(epoch FROM finished_at)::float FROM chat_messages WHERE state = 'failed'"
        ((error, content, failed_at),) = eventually(lambda: ask(database_url, reply), 60, 0.2)
        assert (error, failed_at - killed_at < FAILED_WITHIN_SECONDS) == ("reply_interrupted", True)
        assert len(content) > 30
        assert seen.startswith(content) or content.startswith(seen)
        assert ask(database_url, "SELECT * FROM usage_reservations WHERE lease_until > clock_timestamp()") == []
        assert ask(database_url, "SELECT * FROM usage_counters WHERE used > 0") == []
    finally:
        worker.stop()
