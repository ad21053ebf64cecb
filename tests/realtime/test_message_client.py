"""What a client of a path is sent, and when it is too slow."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import orjson
import pytest

from database.blocking import Blocking
from metering.sockets import SocketClosed
from realtime.client import Surroundings
from realtime.closing import LEFT, LOST, SLOW
from realtime.message_client import MessageClient
from realtime.wire import Wire
from tests.realtime.wire_peer import Peer, run

MOMENT, LONG = 0.005, 1000.0
LARGE = "x" * 32 * 1024


def run_client(test: Callable[[MessageClient, Wire, Peer], Awaitable[None]]) -> None:
    async def with_client(wire: Wire, peer: Peer) -> None:
        surroundings = Surroundings(Blocking("never started", 1), lambda _: None, LONG)
        await test(MessageClient("a socket", "192.0.2.1", surroundings, wire), wire, peer)

    run(with_client)


def fill(client: MessageClient, wire: Wire) -> int:
    """Until the connection takes no more. The number of messages."""
    sent = 0
    while wire.is_writable:
        client.emit("drop", {"number": sent, "data": LARGE})
        sent += 1
    return sent


async def numbers(peer: Peer, count: int) -> list[int]:
    """Those of the next messages."""
    read = b""
    while read.count(b'"number":') < count:
        read += await peer.read()
    return [int(part.partition(b",")[0]) for part in read.split(b'"number":')[1:]]


def test_it_is_written_in_the_same_turn_of_the_loop() -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        client.emit("said", {"data": "ä", "type_": 1})
        assert wire.taken + wire.unsent > 0
        assert orjson.loads((await peer.read())[2:]) == {"type": "said", "data": "ä", "type_": 1}

    run_client(test)


def test_what_waits_comes_in_its_order() -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        sent = fill(client, wire)
        for number in range(sent, sent + 4):
            client.emit("drop", {"number": number, "data": ""})
        assert await numbers(peer, sent + 4) == list(range(sent + 4))
        client.emit("drop", {"number": sent + 4, "data": ""})
        assert await numbers(peer, 1) == [sent + 4]

    run_client(test)


def test_whoever_may_wait_waits_and_leaves_room_for_what_may_not() -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        sent = fill(client, wire)

        async def pour() -> None:
            for number in range(sent, sent + 20):
                await client.send("drop", {"number": number, "data": LARGE})

        pouring = client.start(pour())
        await asyncio.sleep(MOMENT)
        assert not pouring.done()
        client.emit("said", {"data": "this may not wait"})
        assert client.closing is None
        assert await numbers(peer, sent + 20) == list(range(sent + 20))
        await pouring

    run_client(test)


def test_what_may_not_wait_closes_a_client_whose_queue_is_full() -> None:
    async def test(client: MessageClient, wire: Wire, _: Peer) -> None:
        fill(client, wire)
        waiting = asyncio.create_task(client.send("said", {"data": LARGE * 8}))
        await waiting  # there was room
        waiting = asyncio.create_task(client.send("said", {"data": "a"}))
        await asyncio.sleep(MOMENT)
        client.emit("said", {"data": "a"})
        assert client.closing == SLOW
        with pytest.raises(SocketClosed):
            await waiting

    run_client(test)


@pytest.mark.parametrize("says_goodbye", [True, False], ids=["left", "lost"])
def test_whoever_waits_for_a_client_that_goes_waits_no_longer(says_goodbye: bool) -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        fill(client, wire)
        await client.send("said", {"data": LARGE * 8})
        waiting = asyncio.create_task(client.send("said", {"data": "a"}))
        await asyncio.sleep(MOMENT)
        if says_goodbye:
            await peer.send(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
            while wire.conn.close_rcvd is None:
                await asyncio.sleep(0)
        wire.abort()
        with pytest.raises(SocketClosed):
            await waiting
        assert client.closing == (LEFT if says_goodbye else LOST)

    run_client(test)


def test_who_takes_nothing_is_behind_and_who_takes_little_is_not() -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        assert not client.is_behind(MOMENT)
        fill(client, wire)
        assert not client.is_behind(LONG)
        time.sleep(2 * MOMENT)
        assert client.is_behind(MOMENT)
        taken = wire.taken
        while wire.taken == taken:
            await peer.read()
        assert not client.is_behind(LONG)
        assert wire.unsent
        taken = wire.taken
        while wire.unsent:
            await peer.read()
        time.sleep(2 * MOMENT)
        assert not client.is_behind(MOMENT)

    run_client(test)


def test_its_end_comes_after_what_waits() -> None:
    async def test(client: MessageClient, wire: Wire, peer: Peer) -> None:
        sent = fill(client, wire)
        client.emit("drop", {"number": sent, "data": ""})
        client.close(4404, "gone")
        client.emit("drop", {"number": sent + 1, "data": ""})
        read = b""
        while b"gone" not in read:
            read += await peer.read()
        assert read.count(b'"number":') == sent + 1
        assert read.endswith(b"\x88\x06\x11\x34gone")

    run_client(test)
