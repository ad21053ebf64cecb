"""What waits for one client has a bound, and an end."""

import asyncio
from collections.abc import Awaitable, Callable

from realtime.send_queue import MOST_BYTES, SendQueue

LARGE = "x" * (MOST_BYTES // 2)


def run(test: Callable[[SendQueue[str]], Awaitable[None]]) -> None:
    async def with_queue() -> None:
        async with asyncio.timeout(10):
            await test(SendQueue(len))

    asyncio.run(with_queue())


def test_packets_come_out_in_their_order() -> None:
    async def test(queue: SendQueue[str]) -> None:
        packets = [str(number) for number in range(3)]
        for packet in packets:
            await queue.put(packet)
        assert [await queue.get() for _ in packets] == packets

    run(test)


def test_whoever_puts_waits_for_room() -> None:
    async def test(queue: SendQueue[str]) -> None:
        await queue.put(LARGE)
        await queue.put(LARGE)
        assert queue.is_full
        waiting = [asyncio.create_task(queue.put(LARGE)) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        for _ in range(4):
            await queue.get()
        await asyncio.gather(*waiting)
        assert not queue.is_full

    run(test)


def test_whoever_may_wait_leaves_room_for_what_may_not() -> None:
    async def test(queue: SendQueue[str]) -> None:
        await queue.room()
        queue.put_nowait(LARGE)
        waiting = asyncio.create_task(queue.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert not queue.is_full
        await queue.get()
        await waiting

    run(test)


def test_many_small_packets_fill_it_too() -> None:
    async def test(queue: SendQueue[str]) -> None:
        for _ in range(MOST_BYTES // 256):
            queue.put_nowait("x")
        assert queue.is_full

    run(test)


def test_the_end_comes_after_what_waits_and_frees_whoever_waits() -> None:
    async def test(queue: SendQueue[str]) -> None:
        queue.put_nowait(LARGE)
        queue.put_nowait(LARGE)
        waiting = asyncio.create_task(queue.put(LARGE))
        await asyncio.sleep(0)
        queue.put_nowait(None)
        await waiting
        queue.put_nowait(LARGE)
        assert [await queue.get() for _ in range(4)] == [LARGE, LARGE, None, None]

    run(test)


def test_it_knows_since_when_its_oldest_has_waited() -> None:
    async def test(queue: SendQueue[str]) -> None:
        assert queue.waits_since is None
        await queue.put(LARGE)
        first = queue.waits_since
        assert first is not None
        await queue.put(LARGE)
        assert queue.waits_since == first
        await queue.get()
        assert queue.waits_since is not None
        assert queue.waits_since >= first

    run(test)
