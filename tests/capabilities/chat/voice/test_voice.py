"""Speaking to a chat, through real sockets, beside the stand-in for providers."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.canary import PROMPT
from tests.capabilities.chat.running_chat import BASE, Customer, RunningChat
from tests.capabilities.chat.sockets.client import Client, connected, on_a_loop
from tests.capabilities.chat.voice.made_recordings import MADE, wav, webm
from tests.metering.limit_backends import eventually

CHUNK = 64 * 1024
CANARY = b"a sound that nobody keeps"
QUESTION = NextAnswer(face="groq", text="Why is the sky blue?")
REPLY = NextAnswer(
    face="openai",
    text="The light of the sun is scattered by the air. Blue light is scattered most of all. So the sky is blue.",
)


def new_conversation(customer: Customer) -> str:
    answer = customer.call("POST", "/api/gateway/conversations", json={})
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


async def joined(client: Client, customer: Customer) -> str:
    conversation = await asyncio.to_thread(new_conversation, customer)
    await client.done("conversation:join", conversation_id=conversation)
    return conversation


async def record(client: Client, audio: bytes, conversation: str, container: str = "webm", **fields: Any) -> None:
    await client.done("voice:start", conversation_id=conversation, format=container, **fields)
    for begins in range(0, len(audio), CHUNK):
        answer = await client.socket.call("voice:chunk", audio[begins : begins + CHUNK], timeout=10)
        assert answer["ok"], answer
    await client.done("voice:stop")


async def event(client: Client, name: str, seen: int = 0) -> dict[str, Any]:
    """The event of this name behind those that were `seen` already."""
    found = 0

    def right(event: str, _: dict[str, Any]) -> bool:
        nonlocal found
        found += event == name
        return event == name and found > seen

    return await client.until(right)


async def error(client: Client, seen: int = 0) -> dict[str, Any]:
    return await event(client, "voice:error", seen)


async def replied(client: Client) -> dict[str, Any]:
    """The end of a reply."""
    return await client.of_type("end")


def voice_log(customer: Customer) -> list[dict[str, Any]]:
    return [each for each in customer.log() if each["feature"] == "voice"]


def seconds_used(customer: Customer) -> int:
    counters = "SELECT used FROM usage_counters WHERE user_id = %s AND feature = 'voice' AND unit = 'second'"
    return sum(int(each["used"]) for each in customer.running.rows(counters, customer.id))


@on_a_loop
async def test_a_recorded_question_comes_back_as_transcript_reply_and_audio(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(QUESTION)
    running.ai.next.add(REPLY)
    before = seconds_used(alice)
    audio = wav(6.2)  # of this format the stand-in knows the length
    async with connected(realtime, alice.token) as client:
        conversation = await joined(client, alice)
        await record(client, audio, conversation, "wav", speak=True, language="en")
        ready, transcript = await event(client, "voice:ready"), await event(client, "voice:transcript")
        end = await client.until(lambda name, told: name == "voice:audio" and told["type"] == "end")
        spoken = [told for name, told in client.told if name == "voice:audio" and told["type"] == "chunk"]
        message_id = end["message_id"]
        await client.ended(message_id)
        assert client.text(message_id) == REPLY.text
    assert (ready["largest_chunk"], ready["longest_seconds"]) == (CHUNK, 300)
    assert transcript == {"conversation_id": conversation, "text": QUESTION.text, "seconds": 7}
    messages = alice.call("GET", f"/api/gateway/conversations/{conversation}/messages").get_json()["messages"]
    assert [each["content"] for each in messages] == [REPLY.text, QUESTION.text]
    assert (end["sentences"], end["complete"]) == (2, True)
    assert [(each["sentence"], each["sentence_ends"], each["format"]) for each in spoken] == [
        (0, True, "mp3"),
        (1, True, "mp3"),
    ]
    assert all(each["data"][:2] == b"\xff\xfb" for each in spoken)
    heard, said = voice_log(alice)
    (listened,) = [each for each in running.ai.books.billed if each.audio_seconds]
    speeches = [each for each in running.ai.books.billed if each.characters]
    assert (listened.audio_seconds, listened.client_request_id) == (6.2, str(heard["id"]))
    assert heard["units"] == {"audio_bytes": len(audio), "seconds": 7}
    assert (heard["provider"], heard["model"], heard["cost_micros"]) == ("groq", "whisper-large-v3-turbo", 112)
    assert said["units"] == {"characters": sum(each.characters for each in speeches)}
    assert (said["provider"], said["model"]) == ("openai", "tts-1")
    assert said["cost_micros"] == sum(each.characters * 15 for each in speeches)
    assert {each.client_request_id for each in speeches} == {str(said["id"])}
    assert seconds_used(alice) - before == 7
    assert alice.held() == 0


@pytest.mark.parametrize("container", ["webm", pytest.param("ogg", marks=pytest.mark.slow)])
def test_what_was_held_is_settled_by_what_the_provider_says(
    realtime: str, running: RunningChat, alice: Customer, container: str
) -> None:
    """The stand-in takes what is not WAV for 16,000 bytes a second."""
    audio = MADE[container](30)

    @on_a_loop
    async def test() -> None:
        running.ai.next.add(QUESTION)
        async with connected(realtime, alice.token) as client:
            await record(client, audio, await joined(client, alice), container)
            transcript = await event(client, "voice:transcript")
            assert transcript["seconds"] == -(-len(audio) // 16_000)
            await replied(client)

    before = seconds_used(alice)
    test()
    assert seconds_used(alice) - before == -(-len(audio) // 16_000) < 30


@on_a_loop
async def test_what_cannot_be_is_refused_and_costs_nothing(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    before = seconds_used(alice)
    async with connected(realtime, alice.token) as client:
        conversation = await joined(client, alice)
        for event_name in ("voice:chunk", "voice:stop"):
            sent = b"\x1aE" if event_name == "voice:chunk" else {}
            answer = await client.socket.call(event_name, sent, timeout=10)
            assert (answer["ok"], answer["error"], answer["status"]) == (False, "no_recording", 409)
        await client.socket.emit("voice:chunk", b"\x1aE")
        assert (await error(client))["error"] == "no_recording"
        elsewhere = await client.ask("voice:start", conversation_id=str(uuid4()), format="webm")
        assert (elsewhere["ok"], elsewhere["error"]) == (False, "not_joined")
        wrong = await client.ask("voice:start", conversation_id=conversation, format="midi")
        assert (wrong["ok"], wrong["status"]) == (False, 422)
        await client.done("voice:start", conversation_id=conversation, format="webm")
        again = await client.ask("voice:start", conversation_id=conversation, format="webm")
        assert (again["ok"], again["error"]) == (False, "already_recording")
        large = await client.socket.call("voice:chunk", bytes(CHUNK + 1), timeout=10)
        assert (large["ok"], large["error"]) == (False, "chunk_too_large")
        for seen, (audio, refused) in enumerate(
            ((webm(360), "recording_too_long"), (b"\x1aE" * 9, "recording_unreadable"), (b"", "recording_unreadable")),
            1,
        ):
            await record(client, audio, conversation)
            told = await error(client, seen)
            assert (told["error"], told["status"]) == (refused, 422)
    assert running.ai.books.entries == []
    assert (voice_log(alice), seconds_used(alice) - before, alice.held()) == ([], 0, 0)


@pytest.mark.slow
@on_a_loop
async def test_a_free_user_is_told_which_plans_have_it(realtime: str, running: RunningChat) -> None:
    bob = await asyncio.to_thread(running.register, Tier.FREE)
    async with connected(realtime, bob.token) as client:
        conversation = await joined(client, bob)
        answer = await client.ask("voice:start", conversation_id=conversation, format="webm")
    assert (answer["ok"], answer["status"], answer["error"]) == (False, 403, "feature_not_in_tier")
    assert answer["included_in"] == ["plus", "pro", "team", "enterprise"]
    told = bob.call("GET", "/api/gateway/chat/usage").get_json()
    assert told["voice_seconds"] == {"limit": 0, "used": 0, "held": 0, "left": 0}


@on_a_loop
async def test_the_same_recording_with_the_same_key_is_counted_and_sent_once(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(QUESTION)
    before, key = seconds_used(alice), str(uuid4())
    async with connected(realtime, alice.token) as client:
        conversation = await joined(client, alice)
        for seen in range(2):
            await record(client, wav(2), conversation, "wav", idempotency_key=key)
            transcript = await event(client, "voice:transcript", seen)
            assert (transcript["text"], transcript["seconds"]) == (QUESTION.text, 2)
            ended = await replied(client)
        await record(client, wav(3), conversation, "wav", idempotency_key=key)
        assert (await error(client))["error"] == "idempotency_key_reused"
    messages = alice.call("GET", f"/api/gateway/conversations/{conversation}/messages").get_json()["messages"]
    assert [each["id"] for each in messages][:-1] == [ended["message_id"]]
    assert [each.audio_seconds for each in running.ai.books.billed if each.audio_seconds] == [2]
    assert (len(voice_log(alice)), seconds_used(alice) - before) == (1, 2)


@pytest.mark.slow
@on_a_loop
async def test_a_reply_is_spoken_once_however_often_its_recording_is_repeated(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(QUESTION)
    running.ai.next.add(NextAnswer(face="openai", text="**42**."))
    ends = []
    async with connected(realtime, alice.token) as client:
        conversation, key = await joined(client, alice), str(uuid4())
        for seen in range(2):
            await record(client, wav(1), conversation, "wav", speak=True, idempotency_key=key)
            await event(client, "voice:audio", 2 * seen)
            ends.append(await event(client, "voice:audio", 1 + seen))
    assert [(each["sentences"], each["complete"]) for each in ends] == [(1, True), (0, False)]
    assert [each.characters for each in running.ai.books.billed if each.characters] == [len("42.")]
    assert len(voice_log(alice)) == 2


def test_price_lists_show_the_seconds(running: RunningChat) -> None:
    plans = running.app.test_client().get("/api/payments/plans", base_url=BASE).get_json()["plans"]
    assert {each["tier"]: each["limits"]["voice"]["seconds_per_day"] for each in plans} == {
        "free": 0,
        "plus": 600,
        "pro": 3_600,
        "team": 7_200,
        "enterprise": None,
    }


@pytest.mark.slow
@on_a_loop
async def test_failures_cost_nothing_and_may_be_repeated(realtime: str, running: RunningChat, alice: Customer) -> None:
    troubles: list[tuple[dict[str, Any], str]] = [
        ({"status": 500}, "provider_failed"),
        ({"status": 429}, "service_busy"),
        ({"status": 400}, "recording_refused"),
        ({"text": " "}, "nothing_heard"),
        ({"body": "<html>"}, "provider_failed"),
    ]
    before, key = seconds_used(alice), str(uuid4())
    async with connected(realtime, alice.token) as client:
        conversation = await joined(client, alice)
        for seen, (trouble, refused) in enumerate(troubles):
            running.ai.next.add(NextAnswer(face="groq", **trouble))
            await record(client, wav(2), conversation, "wav", idempotency_key=key)
            assert (await error(client, seen))["error"] == refused
            assert seconds_used(alice) == before
        running.ai.next.add(QUESTION)
        await record(client, wav(2), conversation, "wav", idempotency_key=key)
        await replied(client)
    assert [each["outcome"] for each in voice_log(alice)] == ["failed"] * len(troubles) + ["delivered"]
    assert (seconds_used(alice) - before, alice.held()) == (2, 0)


@pytest.mark.slow
@on_a_loop
async def test_a_reply_whose_speech_fails_is_there_all_the_same(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(QUESTION)
    running.ai.next.add(REPLY)
    running.ai.next.add(NextAnswer(face="openai", status=500))
    async with connected(realtime, alice.token) as client:
        await record(client, wav(1), await joined(client, alice), "wav", speak=True)
        assert (await error(client))["error"] == "provider_failed"
        ended = await replied(client)
        assert client.text(ended["message_id"]) == REPLY.text
    assert [each["outcome"] for each in voice_log(alice)] == ["delivered", "failed"]


@pytest.mark.slow
@on_a_loop
async def test_a_day_has_so_many_seconds(realtime: str, running: RunningChat) -> None:
    bob = await asyncio.to_thread(running.register, Tier.PLUS)
    async with connected(realtime, bob.token) as client:
        conversation = await joined(client, bob)
        running.ai.next.add(QUESTION)
        await record(client, wav(3), conversation, "wav")
        await replied(client)
        running.rows("UPDATE usage_counters SET used = 590 WHERE user_id = %s AND unit = 'second'", bob.id)
        await record(client, wav(11), conversation, "wav")
        refused = await error(client)
        assert (refused["error"], refused["status"], refused["violated-policies"]) == (
            "rate_limit_exceeded",
            429,
            ["seconds"],
        )
        told = bob.call("GET", "/api/gateway/chat/usage").get_json()
        assert told["voice_seconds"] == {"limit": 600, "used": 590, "held": 0, "left": 10}
        running.ai.next.add(QUESTION)
        await record(client, wav(10), conversation, "wav")
        await event(client, "voice:transcript", 1)
        assert seconds_used(bob) == 600


@on_a_loop
async def test_a_client_that_leaves_finds_its_transcript_under_its_key(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(NextAnswer(face="groq", text=QUESTION.text, hold=True))
    before, key = seconds_used(alice), str(uuid4())
    async with connected(realtime, alice.token) as client:
        conversation = await joined(client, alice)
        await record(client, wav(2), conversation, "wav", idempotency_key=key)
        assert await asyncio.to_thread(running.ai.books.wait_for, 1)
        assert alice.held() == 2  # the call and its seconds
    running.ai.next.release()
    assert await asyncio.to_thread(running.ai.books.wait_for_end)
    async with connected(realtime, alice.token) as client:
        await client.done("conversation:join", conversation_id=conversation)
        while True:
            await record(client, wav(2), conversation, "wav", idempotency_key=key)
            told = await client.until(lambda name, _: name in {"voice:transcript", "voice:error"})
            if "text" in told:
                break
            assert told["error"] == "request_still_running"
            client.told.clear()
        await replied(client)
    assert [each.audio_seconds for each in running.ai.books.billed if each.audio_seconds] == [2]
    assert seconds_used(alice) - before == 2


@pytest.mark.slow
@on_a_loop
async def test_a_client_that_leaves_while_it_is_spoken_to(realtime: str, running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(QUESTION)
    running.ai.next.add(REPLY)
    running.ai.next.add(NextAnswer(face="openai"))
    running.ai.next.add(NextAnswer(face="openai", hold=True))
    async with connected(realtime, alice.token) as client:
        await record(client, wav(1), await joined(client, alice), "wav", speak=True)
        first = await event(client, "voice:audio")
        assert await asyncio.to_thread(running.ai.books.wait_for, 4)
    assert await asyncio.to_thread(eventually, lambda: len(voice_log(alice)) == 2)
    heard, said = voice_log(alice)
    assert (heard["outcome"], said["outcome"]) == ("delivered", "cut_short")
    (spoken,) = [each for each in running.ai.books.billed if each.characters]
    assert (first["sentence"], said["units"]) == (0, {"characters": spoken.characters})
    assert await asyncio.to_thread(eventually, lambda: alice.held() == 0)


@pytest.mark.slow
@on_a_loop
async def test_nothing_of_a_voice_is_kept(realtime: str, running: RunningChat, alice: Customer) -> None:
    """And no log has a word of it: what is said here and what is understood are looked for there after each test."""
    running.ai.next.add(NextAnswer(face="groq", text=PROMPT))
    async with connected(realtime, alice.token) as client:
        await record(client, wav(1) + CANARY + PROMPT.encode(), await joined(client, alice), "wav")
        await replied(client)
    for table in running.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"):
        statement = f'SELECT 1 FROM "{table["name"]}" AS kept WHERE kept::text LIKE ANY (%s) LIMIT 1'
        assert running.rows(statement, [f"%{each}%" for each in (CANARY.decode(), CANARY.hex())]) == [], table
