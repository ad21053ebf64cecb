"""Sockets whose clients read slowly, never, or say nothing."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from sandbox.ai_server.server import AIServer
from tests.capabilities.chat.running_chat import Customer, RunningChat, chat_environment
from tests.capabilities.chat.sockets.client import connected, on_a_loop
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow
SLOW = 4408
LONG = "größer 答え 😀 " * 25_000
"""Half a megabyte."""
REPLIES = 16
"""More than the system's buffers between a server and a client hold."""
SOAKS = "FAULT_SECONDS" in os.environ
SILENT_SECONDS = 300 if SOAKS else 5
MOST_GROWTH = 64 * 2**20
StartRealtime = Callable[..., RealtimeProcess]


@pytest.fixture
def start_realtime(
    running: RunningChat, ai_of_session: AIServer, valkey_server: str, tmp_path: Path
) -> Iterator[StartRealtime]:
    with ExitStack() as at_end:

        def start(**shorter: float) -> RealtimeProcess:
            constants = {name.replace("__", "."): value for name, value in shorter.items()}
            environ = chat_environment(running.url, ai_of_session, valkey_server, SHORTER=json.dumps(constants))
            process = RealtimeProcess(environ, tmp_path)
            at_end.callback(process.stop)
            process.start()
            return process

        yield start


@pytest.fixture
def long_replies(running: RunningChat, alice: Customer) -> list[str]:
    """Of one conversation, whose id is the first."""
    sent = alice.send().get_json()
    conversation_id, reply = sent["conversation_id"], sent["reply"]
    ids = [str(uuid4()) for _ in range(REPLIES)]
    for each in ids:
        running.rows(
            "INSERT INTO chat_messages (id, conversation_id, user_id, parent_id, role, content, state, model, created_at)"
            " VALUES (%s, %s, %s, %s, 'assistant', %s, 'complete', 'gpt-6-luna', now())",
            *(each, conversation_id, alice.id, reply["parent_id"], LONG),
        )
    return [conversation_id, *ids]


def is_told(title: str, _: str, told: Mapping[str, Any]) -> bool:
    return bool(told["conversation"]["title"] == title)


def read_on_all(slow: RawSocket, conversation_id: str, ids: list[str]) -> None:
    assert slow.ask("conversation:join", {"conversation_id": conversation_id})["ok"]
    for each in ids:
        slow.send(f"42{json.dumps(['chat:stream', {'message_id': each, 'after': 0}])}")


def test_who_reads_slowly_gets_everything_and_is_not_closed_for_what_comes_between(
    realtime: str, alice: Customer, long_replies: list[str]
) -> None:
    conversation_id, *ids = long_replies
    titles = [f"Title {number}" for number in range(20)]

    async def rename() -> None:
        async with connected(realtime, alice.token) as other:
            for title in titles:
                alice.call("PATCH", f"/api/gateway/conversations/{conversation_id}", json={"title": title})
                await other.until(partial(is_told, title))
                await asyncio.sleep(0.05)

    with RawSocket(realtime, alice.token) as slow:
        read_on_all(slow, conversation_id, ids)
        asyncio.run(rename())  # while it reads nothing
        texts = dict.fromkeys(ids, "")
        ended: set[str] = set()
        while len(ended) < len(ids):
            (event,) = slow.heard("chat:stream")
            if event["type"] == "delta":
                texts[event["message_id"]] += event["text"]
                assert event["offset"] == len(texts[event["message_id"]].encode())
            elif event["type"] == "end":
                ended.add(event["message_id"])
        assert set(texts.values()) == {LONG}
        told = [event[1]["conversation"]["title"] for event in slow.events if event[0] == "conversation:updated"]
        assert told[-1] == titles[-1]


def test_who_never_reads_is_closed_and_others_are_served(
    start_realtime: StartRealtime, alice: Customer, long_replies: list[str]
) -> None:
    process = start_realtime(realtime__watch__BEHIND_SECONDS=4)
    conversation_id, *ids = long_replies
    memory = psutil.Process(process.pid).memory_info
    with RawSocket(process.url, alice.token) as lazy, RawSocket(process.url, alice.token) as bystander:
        assert bystander.ask("conversation:join", {"conversation_id": conversation_id})["ok"]
        before = memory().rss
        read_on_all(lazy, conversation_id, ids)
        most = 0
        while '"reason":"slow"' not in process.output():
            time.sleep(0.1)
            answer = bystander.ask("chat:stream", {"message_id": ids[0], "after": len(LONG.encode())})
            assert answer["ok"], answer
            most = max(most, memory().rss - before)
        assert most < MOST_GROWTH
        assert lazy.closed() == SLOW
        assert bystander.ask("conversation:leave", {"conversation_id": conversation_id})["ok"]


@pytest.mark.timeout(SILENT_SECONDS + 120)
@on_a_loop
async def test_a_silent_socket_outlives_three_pings(
    start_realtime: StartRealtime, realtime: str, alice: Customer
) -> None:
    """`make soak` waits for five minutes at the usual pace."""
    shorter = {"realtime__socket_io__PING_SECONDS": 1, "realtime__socket_io__PONG_SECONDS": 1}
    url = realtime if SOAKS else start_realtime(**shorter).url
    conversation = {"conversation_id": alice.send().get_json()["conversation_id"]}
    async with connected(url, alice.token) as client:
        await asyncio.sleep(SILENT_SECONDS)
        assert client.told == []
        await client.done("conversation:join", **conversation)
