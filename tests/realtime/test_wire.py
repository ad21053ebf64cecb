"""The connection of a WebSocket, with a client that keeps no rules."""

import asyncio

import pytest

from realtime.wire import Wire
from tests.realtime.wire_peer import PING, TEXT, Peer, frame, run

PINGS_BYTES = 1024 * 1024


def test_answers_to_pings_are_not_kept_for_who_does_not_read() -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        pings = frame(PING, b"x" * 125) * 100
        for _ in range(PINGS_BYTES // len(pings)):
            await peer.send(pings)
            await asyncio.sleep(0)
        assert not wire.is_writable
        assert wire.unsent < PINGS_BYTES / 4

    run(test)


def test_it_knows_what_was_taken_and_tells_when_there_is_room() -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        room = asyncio.Event()
        wire.has_room = room.set
        wire.write(b"a")
        assert (wire.taken, wire.unsent, wire.is_writable) == (3, 0, True)
        written = 3
        while wire.is_writable:
            wire.write(b"x" * 10_000)
            written += 4 + 10_000
        assert 0 < wire.unsent == written - wire.taken
        taken = wire.taken
        while not room.is_set():
            await peer.read()
        assert wire.is_writable
        assert wire.taken > taken

    run(test)


def test_after_its_end_nothing_is_written() -> None:
    async def test(wire: Wire, _: Peer) -> None:
        wire.abort()
        while not wire.disconnected:
            await asyncio.sleep(0)
        wire.write(b"after the end")
        await wire.close(1000, "")

    run(test)


@pytest.mark.parametrize("sends", [True, False], ids=["sends", "silent"])
def test_a_late_answer_to_a_ping_is_forgiven_to_who_sends(sends: bool) -> None:
    async def test(wire: Wire, peer: Peer) -> None:
        wire.send_keepalive_ping()
        while sends and wire.heard_at <= wire.ping_sent_at:
            await peer.send(frame(TEXT, b"a"))
            await asyncio.sleep(0)
        wire.keepalive_timeout()
        assert wire.transport.is_closing() is not sends
        assert (wire.pong_timer is not None) is sends

    run(test)
