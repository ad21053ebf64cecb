"""The text of a reply while it grows, read by a coroutine."""

import asyncio
import threading

import pytest

from capabilities.chat.models import MessageState
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.live_text import AsyncReader, LiveText

TEXT = "größer 答え 😀 " * 200


async def read_all(reader: AsyncReader, most: int) -> list[bytes]:
    pieces = []
    while reader.ended is None:
        pieces.append(await reader.read(most))
    return pieces


def test_a_coroutine_reads_what_a_thread_writes() -> None:
    text = LiveText()

    def write() -> None:
        for character in TEXT:
            text.append(character.encode())
        text.end(Ended(MessageState.COMPLETE))

    async def read() -> str:
        reader = AsyncReader(text)
        writer = threading.Thread(target=write)
        writer.start()
        pieces = await asyncio.wait_for(read_all(reader, 10_000), 10)
        writer.join()
        reader.close()
        return b"".join(pieces).decode()

    assert asyncio.run(read()) == TEXT
    assert text.watched == 0


@pytest.mark.parametrize("most", [4, 5, 7, 16])
def test_pieces_are_whole_characters_and_no_larger_than_wanted(most: int) -> None:
    text = LiveText(TEXT.encode(), Ended(MessageState.COMPLETE))

    async def read() -> list[bytes]:
        return [piece for piece in await read_all(AsyncReader(text), most) if piece]

    pieces = asyncio.run(read())
    assert "".join(piece.decode() for piece in pieces) == TEXT
    assert max(map(len, pieces)) <= most


def test_who_waits_is_told_of_the_end() -> None:
    text = LiveText(b"all")

    async def read() -> bytes:
        reader = AsyncReader(text, 3)
        waiting = asyncio.ensure_future(reader.read(10))
        await asyncio.sleep(0)
        text.end(Ended(MessageState.COMPLETE))
        return await asyncio.wait_for(waiting, 10)

    assert asyncio.run(read()) == b""
