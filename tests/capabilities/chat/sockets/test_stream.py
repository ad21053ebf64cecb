"""Messages and replies over sockets, beside those of another process."""

from asyncio import create_task, gather, to_thread

import pytest
from socketio.exceptions import ConnectionError as SocketIOConnectionError

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import Customer, RunningChat
from tests.capabilities.chat.sockets.client import connected, on_a_loop

pytestmark = pytest.mark.slow
SHORT = NextAnswer(text="Hello, Alice. 答え 😀", chunk_tokens=1)
LONG = "größer 答え 😀 " * 20
SLOW = NextAnswer(text=LONG, chunk_tokens=2, tokens_per_second=100)
NOBODYS = "01900000-0000-7000-8000-000000000000"
MANY = 50


@on_a_loop
async def test_a_message_without_a_conversation_makes_one_and_the_reply_comes(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(SHORT)
    async with connected(realtime, alice.token) as client:
        sent = await client.send("What is it?", max_tokens=300)
        ended = await client.ended(sent["message_id"])
        start, *_ = told = client.stream(sent["message_id"])
        assert {"ok": True, **start} == {**sent, "type": "start", "offset": 0}
        assert (start["max_tokens"], start["context"]) == (300, {"sent": 1, "dropped": 0})
        assert [each["type"] for each in told] == ["start", *["delta"] * (len(told) - 2), "end"]
        assert {each["conversation_id"] for each in told} == {sent["conversation_id"]}
        assert client.text(sent["message_id"]) == SHORT.text
        stored = alice.message(sent["message_id"])
        assert (stored["content"], stored["state"], stored["usage"]) == (SHORT.text, "complete", ended["usage"])
        assert (ended["state"], ended["finish_reason"], ended["offset"]) == (
            "complete",
            "stop",
            len(SHORT.text.encode()),
        )
        assert alice.message(sent["user_message_id"])["content"] == "What is it?"
        assert alice.used()["call"] == 1
        running.ai.next.add(SHORT)
        more = await client.send("And this?", conversation_id=sent["conversation_id"])
        assert (await client.ended(more["message_id"]))["type"] == "end"
        assert client.text(more["message_id"]) == SHORT.text


@on_a_loop
async def test_what_another_process_sends_comes_to_the_sockets_that_joined_and_to_no_other(
    realtime: str, running: RunningChat, alice: Customer, bob: Customer
) -> None:
    conversation = alice.send().get_json()["conversation_id"]
    running.ai.next.add(SLOW)
    async with (
        connected(realtime, alice.token) as phone,
        connected(realtime, alice.token) as tablet,
        connected(realtime, alice.token) as watch,
        connected(realtime, bob.token) as bobs,
    ):
        for client in (phone, tablet):
            assert (await client.done("conversation:join", conversation_id=conversation))["running"] == []
        refused = await bobs.ask("conversation:join", conversation_id=conversation)
        assert (refused["ok"], refused["status"], refused["error"]) == (False, 404, "not_found")
        reply = (await to_thread(alice.send, conversation_id=conversation)).get_json()["reply"]
        for client in (phone, tablet):
            assert (await client.ended(reply["id"]))["usage"] == reply["usage"]
            assert client.text(reply["id"]) == LONG == reply["content"]
            assert client.stream(reply["id"])[0]["model"] == reply["model"]
        assert len(phone.stream(reply["id"])) > 4
        await watch.until(lambda name, told: name == "conversation:updated" and told["conversation_id"] == conversation)
        assert watch.stream(reply["id"]) == []
        await bobs.ask("conversation:leave", conversation_id=conversation)
        assert bobs.told == []


@on_a_loop
async def test_a_reply_that_runs_is_told_by_join_and_read_on(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(NextAnswer(text=LONG, hold=True))
    events = alice.stream()
    start = events.until("start").data
    async with connected(realtime, alice.token) as client:
        joined = await client.done("conversation:join", conversation_id=start["conversation_id"])
        assert joined["running"] == [start["message_id"]]
        assert joined["conversation"]["id"] == start["conversation_id"]
        told = await client.done("chat:stream", message_id=start["message_id"], after=0)
        assert told == {"ok": True, "conversation_id": start["conversation_id"], "message_id": start["message_id"]}
        running.ai.next.release()
        await client.ended(start["message_id"])
        assert client.text(start["message_id"]) == LONG
        await client.done("chat:stream", message_id=start["message_id"], after=len(LONG.encode()) - 5)
        rest = await client.until(lambda name, told: name == "chat:stream" and told.get("text") == LONG[-2:])
        assert rest["offset"] == len(LONG.encode())
    events.to_end()


@pytest.mark.parametrize(
    ("after", "code"), [(3, "inside_a_character"), (10_000, "beyond_the_text"), (-1, "greater_than_equal")]
)
@on_a_loop
async def test_a_position_that_the_text_does_not_have_is_refused(
    realtime: str, running: RunningChat, alice: Customer, after: int, code: str
) -> None:
    running.ai.next.add(NextAnswer(text="Grüße 😀"))
    reply = alice.send().get_json()["reply"]
    async with connected(realtime, alice.token) as client:
        refused = await client.ask("chat:stream", message_id=reply["id"], after=0)
        assert (refused["status"], refused["error"]) == (409, "not_joined")
        await client.done("conversation:join", conversation_id=reply["conversation_id"])
        refused = await client.ask("chat:stream", message_id=reply["id"], after=after)
        assert (refused["status"], refused["errors"][0]["code"]) == (422, code)
        assert client.stream(reply["id"]) == []


@on_a_loop
async def test_nothing_is_done_in_a_conversation_that_was_not_joined(
    realtime: str, running: RunningChat, alice: Customer, bob: Customer
) -> None:
    told = alice.send().get_json()
    conversation, reply = told["conversation_id"], told["reply"]["id"]
    message = {"content": "hello", "idempotency_key": "not-joined"}
    async with connected(realtime, alice.token) as client, connected(realtime, bob.token) as bobs:
        for event, body in (
            ("chat:stream", {**message, "conversation_id": conversation}),
            ("chat:stream", {"message_id": reply}),
            ("chat:stop", {"message_id": reply}),
            ("typing:start", {"conversation_id": conversation}),
        ):
            refused = await client.ask(event, **body)
            assert (event, refused["status"], refused["error"]) == (event, 409, "not_joined")
            assert (await bobs.ask(event, **body))["ok"] is False
        for event, body in (("chat:stream", {"message_id": NOBODYS}), ("chat:stop", {"message_id": reply})):
            assert (await bobs.ask(event, **body))["status"] == 404
        await client.done("conversation:join", conversation_id=conversation)
        await client.done("conversation:leave", conversation_id=conversation)
        assert (await client.ask("chat:stream", **message, conversation_id=conversation))["error"] == "not_joined"
    assert alice.used() == {"call": 1, "token": alice.used()["token"]}


@on_a_loop
async def test_bad_events_are_refused_as_by_http(realtime: str, alice: Customer) -> None:
    async with connected(realtime, alice.token) as client:
        for body in (
            {},
            {"content": "x"},
            {"content": "", "idempotency_key": "k"},
            {"content": "x", "idempotency_key": ""},
            {"content": "x", "idempotency_key": "é"},
            {"content": "x", "idempotency_key": "k", "message_id": NOBODYS},
            {"content": "x", "idempotency_key": "k", "parent_id": NOBODYS},
            {"content": "x", "idempotency_key": "k", "stream": True},
            {"content": "x", "idempotency_key": "k", "max_tokens": 0},
            {"content": "x", "idempotency_key": "k", "model": "gpt-none"},
            {"message_id": "no-id"},
        ):
            refused = await client.ask("chat:stream", **body)
            assert (body, refused["ok"], refused["status"]) == (body, False, 422)
        assert client.told == []
    assert alice.used() == {}


@on_a_loop
async def test_a_message_is_refused_when_the_plan_has_no_more(realtime: str, running: RunningChat) -> None:
    eve = running.register(tier=Tier.FREE)
    async with connected(realtime, eve.token) as client:
        for _ in range(5):
            await client.ended((await client.send())["message_id"])
        refused = await client.ask("chat:stream", content="hello", idempotency_key="one-too-many")
        by_http = eve.send().get_json()
        assert (refused["status"], refused["error"]) == (429, by_http["error"])
    assert eve.used()["call"] == 5


@on_a_loop
async def test_a_key_needs_the_scope(realtime: str, running: RunningChat, alice: Customer) -> None:
    scoped, other = (
        alice.call("POST", "/api/auth/tokens", json={"name": scope, "scopes": [scope]}).get_json()["token"]
        for scope in ("chat", "predict")
    )
    async with connected(realtime, scoped) as client:
        assert (await client.ended((await client.send())["message_id"]))["type"] == "end"
    with pytest.raises(SocketIOConnectionError):
        await connected(realtime, other).__aenter__()


@on_a_loop
async def test_a_plan_has_so_many_sockets(realtime: str, running: RunningChat) -> None:
    eve = running.register(tier=Tier.FREE)
    async with connected(realtime, eve.token), connected(realtime, eve.token):
        with pytest.raises(SocketIOConnectionError):
            await connected(realtime, eve.token).__aenter__()
    (free,) = [
        plan for plan in eve.call("GET", "/api/payments/plans").get_json()["plans"] if plan["tier"] == Tier.FREE.value
    ]
    assert free["limits"]["chat"]["sockets"] == 2


@on_a_loop
async def test_it_is_stopped_by_any_socket_wherever_it_is_generated(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(NextAnswer(endless=True, tokens_per_second=50), times=2)
    async with connected(realtime, alice.token) as phone, connected(realtime, alice.token) as tablet:
        sent = await phone.send()
        await tablet.done("conversation:join", conversation_id=sent["conversation_id"])
        await phone.of_type("delta")
        await tablet.done("chat:stop", message_id=sent["message_id"])
        ended = await phone.ended(sent["message_id"])
        assert (ended["type"], ended["state"]) == ("end", "stopped")
        assert phone.text(sent["message_id"]) == alice.message(sent["message_id"])["content"]
        events = alice.stream(conversation_id=sent["conversation_id"])
        message_id = events.until("start").data["message_id"]
        await tablet.of_type("delta", message_id)
        await phone.done("chat:stop", message_id=message_id)
        assert (await tablet.ended(message_id))["state"] == "stopped"
        events.to_end()


@on_a_loop
async def test_a_reply_that_fails_says_why(realtime: str, running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(text="half of it", chunk_tokens=1, cut_after_chunks=2))
    async with connected(realtime, alice.token) as client:
        sent = await client.send()
        ended = await client.ended(sent["message_id"])
        assert (ended["type"], ended["problem"]["status"]) == ("error", 502)
        assert client.text(sent["message_id"]) == alice.message(sent["message_id"])["content"]
    assert alice.used() == {"failure": 1} or "call" not in alice.used()


@on_a_loop
async def test_who_left_is_told_no_more(realtime: str, running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(text=LONG, hold=True))
    async with connected(realtime, alice.token) as phone, connected(realtime, alice.token) as tablet:
        sent = await phone.send()
        conversation = {"conversation_id": sent["conversation_id"]}
        await tablet.done("conversation:join", **conversation)
        await tablet.done("chat:stream", message_id=sent["message_id"], after=0)
        await tablet.done("conversation:leave", **conversation)
        running.ai.next.release()
        await phone.ended(sent["message_id"])
        assert tablet.stream(sent["message_id"]) == []


@on_a_loop
async def test_typing_is_told_to_the_other_sockets_of_the_conversation(realtime: str, alice: Customer) -> None:
    conversation = {"conversation_id": alice.send().get_json()["conversation_id"]}
    async with (
        connected(realtime, alice.token) as phone,
        connected(realtime, alice.token) as tablet,
        connected(realtime, alice.token) as watch,
    ):
        for client in (phone, tablet):
            await client.done("conversation:join", **conversation)
        await phone.done("typing:start", **conversation)
        assert await tablet.until(lambda name, _: name == "typing:start") == {**conversation, "seconds": 5}
        for client in (phone, watch):
            await client.done("conversation:leave", **conversation)
            assert client.told == []


@on_a_loop
async def test_many_sends_with_one_key_are_one_call(realtime: str, running: RunningChat) -> None:
    """Over several sockets, and by HTTP."""
    alice = running.register()
    running.ai.next.add(NextAnswer(text=LONG, hold=True))
    async with connected(realtime, alice.token) as phone, connected(realtime, alice.token) as tablet:
        clients = (phone, tablet)
        by_http = create_task(to_thread(alice.send, "once", key="one-key"))
        sent = await gather(*(clients[number % 2].send("once", idempotency_key="one-key") for number in range(MANY)))
        (message_id,) = {each["message_id"] for each in sent}
        running.ai.next.release()
        for client in clients:
            await client.ended(message_id)
            assert client.text(message_id) == LONG
            assert [each["type"] for each in client.stream(message_id)].count("start") == 1
    assert (await by_http).get_json()["reply"]["id"] == message_id
    assert len(running.ai.books.entries) == 1
    assert alice.used()["call"] == 1
