"""Replies over sockets while the processes and servers beneath them die."""

import os
import signal
from asyncio import create_task, to_thread
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from sandbox.valkey import EmbeddedValkey
from tests.capabilities.chat.sockets.client import connected, on_a_loop
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.chatting import MESSAGES
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.real_worker import RealWorker
from tests.whole.test_chat_processes import people
from tests.whole.web_server import WebServer

pytestmark = pytest.mark.slow
CONVERSATIONS = "/api/gateway/conversations"
TEXT = "größer 答え 😀 " * 60
SLOW = NextAnswer(text=TEXT, chunk_tokens=2, tokens_per_second=60)
FAILED_WITHIN_SECONDS = 60
"""Fifteen of silence, five until the next sweep, and what a busy machine takes."""


@pytest.fixture
def environ(database_url: str, own_valkey: EmbeddedValkey, ai: AIServer) -> dict[str, str]:
    return {
        **production_environment(database_url, "https://predict.example.com", own_valkey.url),
        **ai_environment(ai),
        "CHAT_DEFAULT_MODEL": "gpt-6-luna",
    }


@pytest.fixture
def realtime(environ: dict[str, str], tmp_path: Path) -> Iterator[RealtimeProcess]:
    process = RealtimeProcess(environ, tmp_path, "-m", "flask", "realtime", "run")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def worker(environ: dict[str, str], tmp_path: Path) -> Iterator[RealWorker]:
    started = RealWorker(environ, tmp_path)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def web(start_web_server: StartWebServer, environ: dict[str, str]) -> WebServer:
    return start_web_server(environ, processes=1)


def kill(process: RealtimeProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: process.exit_code is not None)


@on_a_loop
async def test_redis_and_realtime_die_in_the_middle_of_a_reply_and_nothing_is_lost(
    web: WebServer, realtime: RealtimeProcess, own_valkey: EmbeddedValkey, database_url: str, ai: AIServer
) -> None:
    (alice,) = people(web, database_url, 1)
    conversation = {
        "conversation_id": web.post(MESSAGES, {"content": "one"}, alice.access_token).json()["conversation_id"]
    }
    ai.next.add(SLOW)
    async with connected(realtime.url, alice.access_token) as client:
        await client.done("conversation:join", **conversation)
        answer = create_task(to_thread(web.post, MESSAGES, {"content": "two", **conversation}, alice.access_token))
        message_id = (await client.of_type("start"))["message_id"]
        await client.of_type("delta", message_id)
        own_valkey.kill()
        size = len(client.text(message_id).encode())
        await client.until(lambda name, told: name == "chat:stream" and told["offset"] > size + 100)
        kill(realtime)
        text = client.text(message_id)
    await to_thread(realtime.start)
    async with connected(realtime.url, alice.access_token) as client:
        await client.done("conversation:join", **conversation)
        after = len(text.encode())
        await client.done("chat:stream", message_id=message_id, after=after)
        assert (await client.ended(message_id))["type"] == "end"
        assert text + client.text(message_id, after) == TEXT == (await answer).json()["reply"]["content"]
    assert ask(database_url, "SELECT used FROM usage_counters WHERE unit = 'call'") == [(2,)]


@on_a_loop
async def test_replies_of_killed_processes_fail_with_their_text_and_cost_nothing(
    web: WebServer, realtime: RealtimeProcess, worker: RealWorker, database_url: str, ai: AIServer
) -> None:
    (alice,) = people(web, database_url, 1)
    ai.next.add(NextAnswer(endless=True, tokens_per_second=30), times=2)
    async with connected(realtime.url, alice.access_token) as client:
        own = await client.send(idempotency_key="a-key")
        made = await to_thread(web.post, CONVERSATIONS, {}, alice.access_token)
        await client.done("conversation:join", conversation_id=made.json()["id"])
        body = {"content": "two", "conversation_id": made.json()["id"]}
        answer = create_task(to_thread(web.post, MESSAGES, body, alice.access_token))
        other = await client.until(
            lambda name, told: told.get("type") == "start" and told["message_id"] != own["message_id"]
        )
        ids = [own["message_id"], other["message_id"]]
        written = "SELECT 1 FROM chat_messages WHERE state = 'streaming' AND content <> ''"
        await to_thread(eventually, lambda: len(ask(database_url, written)) == len(ids), 30)
        for process in web.workers():
            process.kill()
        with pytest.raises((OSError, HTTPException)):
            await answer
        await client.done("typing:start", conversation_id=own["conversation_id"])  # open sockets live on
        size = len(client.text(ids[0]))
        await client.until(lambda name, told: told.get("message_id") == ids[0] and told["offset"] > size)
        kill(realtime)
        texts = [client.text(each) for each in ids]
    await to_thread(realtime.start)
    async with connected(realtime.url, alice.access_token) as client:
        for sent, text in zip((own, other), texts, strict=True):
            await client.done("conversation:join", conversation_id=sent["conversation_id"])
            stored = await stored_of(database_url, sent["message_id"], text)
            await client.done("chat:stream", message_id=sent["message_id"], after=len(stored.encode()))
        for each in ids:
            failed = await client.ended(each, FAILED_WITHIN_SECONDS)
            assert failed["problem"]["error"] == "reply_interrupted"
        counted = "SELECT 1 FROM usage_counters WHERE used > 0"
        held = "SELECT 1 FROM usage_reservations WHERE lease_until > clock_timestamp()"
        await to_thread(eventually, lambda: not ask(database_url, held), FAILED_WITHIN_SECONDS, 0.2)
        assert ask(database_url, counted) == []
        again = await client.send(idempotency_key="a-key")
        assert (await client.ended(again["message_id"]))["type"] == "end"
    assert ask(database_url, "SELECT used FROM usage_counters WHERE unit = 'call'") == [(1,)]


async def stored_of(database_url: str, message_id: str, text: str) -> str:
    """What is in the row of a reply whose process is dead: some of what was told, for it is written each second."""
    ((stored,),) = await to_thread(ask, database_url, f"SELECT content FROM chat_messages WHERE id = '{message_id}'")
    assert stored == text[: len(stored)] != ""
    return str(stored)


@on_a_loop
async def test_a_realtime_process_that_is_told_to_stop_finishes_its_replies(
    web: WebServer, realtime: RealtimeProcess, database_url: str, ai: AIServer
) -> None:
    (alice,) = people(web, database_url, 1)
    ai.next.add(SLOW)
    async with connected(realtime.url, alice.access_token) as client:
        sent = await client.send()
        await client.of_type("delta")
        realtime.ask_to_stop()
        await client.until(lambda name, _: name == "going_away")
        refused = await client.ask("chat:stream", content="one more", idempotency_key="one-more")
        assert (refused["status"], refused["error"]) == (503, "service_unavailable")
        ended = await client.ended(sent["message_id"])
        assert (ended["type"], ended["state"], client.text(sent["message_id"])) == ("end", "complete", TEXT)
    await to_thread(eventually, lambda: realtime.exit_code == 0, 20)
