"""The client of AI chat that people may copy, at a real server."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.databases import MigratedDatabases, ask
from tests.whole.environment import ai_environment, production_environment
from tests.whole.web_server import WebServer

ROOT = Path(__file__).parents[2]
TEXT = "".join(f"{number}: größer · 答え 😀\n" for number in range(40))
pytestmark = pytest.mark.slow


@dataclass
class Chat:
    server: WebServer
    ai: AIServer
    database_url: str

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """As a stranger types it."""
        token = self.server.register("alice").access_token
        url = f"http://127.0.0.1:{self.server.port}"
        command = [sys.executable, "-X", "utf8", "examples/chat_client.py", "--token", token, "--url", url, *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    def stored(self) -> str:
        """The text of the newest reply."""
        newest = "SELECT content FROM chat_messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1"
        return str(ask(self.database_url, newest)[0][0])


@pytest.fixture(scope="module")
def started(migrated_databases: MigratedDatabases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    ai = AIServer()
    ai.start()
    try:
        with migrated_databases.one() as url:
            environ = {**production_environment(url, "https://predict.example.com"), **ai_environment(ai)}
            environ |= {"FLASK_ENV": "development", "PUBLIC_BASE_URL": "http://127.0.0.1"}
            server = WebServer(environ, tmp_path_factory.mktemp("web"), processes=1)
            try:
                server.start()
                yield Chat(server, ai, url)
            finally:
                server.stop()
    finally:
        ai.stop()


@pytest.fixture
def chat(started: Chat) -> Chat:
    started.ai.next.clear()
    started.ai.books.clear()
    return started


def test_a_connection_that_is_lost_costs_not_a_letter(chat: Chat) -> None:
    chat.ai.next.add(NextAnswer(text=TEXT, chunk_tokens=2, tokens_per_second=400))
    done = chat.run("Say it", "--lose-after", "200")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{TEXT}\n" == f"{chat.stored()}\n"
    assert done.stderr.startswith("complete, gpt-6-luna, ")
    assert len(chat.ai.books.entries) == 1


def test_it_stops_a_reply_that_would_go_on(chat: Chat) -> None:
    chat.ai.next.add(NextAnswer(text=TEXT, endless=True, chunk_tokens=2, tokens_per_second=400))
    done = chat.run("Say it", "--stop-after", "200")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("stopped, gpt-6-luna, ")
    assert chat.stored().startswith(done.stdout.rstrip("\n"))
    assert chat.ai.books.wait_for_end()
    assert chat.ai.books.entries[0].client_left_at is not None


def test_what_is_refused_is_said_in_a_line(chat: Chat) -> None:
    done = chat.run("x" * 32_001)
    assert (done.returncode, done.stdout, chat.ai.books.entries) == (1, "", [])
    assert "Traceback" not in done.stderr and done.stderr.strip()


def test_a_reply_that_breaks_is_said_in_a_line(chat: Chat) -> None:
    chat.ai.next.add(NextAnswer(tokens=40, cut_after_chunks=3))
    done = chat.run("Say it")
    assert (done.returncode, done.stdout) == (1, chat.stored())
    assert "Traceback" not in done.stderr and done.stderr.strip()
