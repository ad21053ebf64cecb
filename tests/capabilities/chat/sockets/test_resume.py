"""A reply that is read over sockets, cut at random bytes and read on."""

from random import Random

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import Customer, RunningChat
from tests.capabilities.chat.sockets.client import connected, on_a_loop
from tests.capabilities.chat.test_follow import TEXT

CUTS = 100
SLOW = NextAnswer(text=TEXT * 2, chunk_tokens=2, tokens_per_second=200)
"""For some seconds."""


def whole_characters(text: bytes) -> bytes:
    """What a client keeps whose connection broke inside of one."""
    return text.decode(errors="ignore").encode()


async def assert_can_be_cut_anywhere(realtime: str, alice: Customer, conversation_id: str, message_id: str) -> None:
    """Each time another socket reads a while, and of what it got all is forgotten that comes after a random byte."""
    random, text, ended = Random(message_id), b"", False
    for cut in range(CUTS + 1):
        async with connected(realtime, alice.token) as client:
            await client.done("conversation:join", conversation_id=conversation_id)
            await client.done("chat:stream", message_id=message_id, after=len(text))
            if cut == CUTS:
                ended = (await client.ended(message_id))["type"] == "end"
            else:
                await client.until(lambda name, told: name == "chat:stream" and told["type"] in {"delta", "end"})
            news = client.text(message_id, len(text)).encode()
        text += news if cut == CUTS else whole_characters(news[: random.randrange(len(news) + 1)])
    assert ended
    assert text.decode() == SLOW.text == alice.message(message_id)["content"]


@pytest.mark.slow
@on_a_loop
async def test_one_that_is_generated_where_the_sockets_are(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(SLOW)
    async with connected(realtime, alice.token) as client:
        sent = await client.send()
    await assert_can_be_cut_anywhere(realtime, alice, sent["conversation_id"], sent["message_id"])


@pytest.mark.slow
@on_a_loop
async def test_one_that_is_generated_elsewhere(realtime: str, running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(SLOW)
    events = alice.stream()
    start = events.until("start").data
    await assert_can_be_cut_anywhere(realtime, alice, start["conversation_id"], start["message_id"])
    events.answer.close()
