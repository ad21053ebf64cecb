"""How an answer travels: at once, in pieces, slowly, or not to its end."""

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from hashlib import sha256
from http import HTTPStatus

from sandbox.ai_server.books import Books, Entry
from sandbox.ai_server.connection import Connection
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.streams import Stream

STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"
NO_MORE = b"0\r\n\r\n"


class CutOff(Exception):
    """The answer ends here because a test wants it to."""


class Delivery:
    """Of one answer. What is sent is in the books before the caller can have read it. Raises ClientLeft throughout."""

    def __init__(self, connection: Connection, wanted: NextAnswer, entry: Entry, books: Books) -> None:
        self._connection = connection
        self._wanted = wanted
        self._entry = entry
        self._books = books
        self._chunked = False
        self._begun = False
        ends = [each for each in (wanted.cut_after_bytes, wanted.stall_after_bytes) if each is not None]
        self._left = min(ends, default=None)
        """Bytes of the body until it is cut or stalls."""

    async def deliver(self, status: int, headers: Mapping[str, str], body: str | bytes | Stream) -> None:
        self._entry.status = status
        await self._connection.pause(self._wanted.delay_seconds)
        self._chunked = isinstance(body, Stream)
        try:
            if isinstance(body, Stream):
                await self._send_head(status, {"Content-Type": STREAM, "Transfer-Encoding": "chunked", **headers})
                await self._send_stream(body)
            else:
                content = body.encode() if isinstance(body, str) else body
                await self._send_head(status, {"Content-Type": JSON, "Content-Length": str(len(content)), **headers})
                await self._send(content, last=True)
        except CutOff:
            self._connection.close()

    async def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        head = head_of(status, headers)
        for line in head.splitlines(keepends=True) if self._wanted.header_pause_seconds else [head]:
            await self._connection.write(line)
            if self._wanted.header_pause_seconds:
                await self._connection.pause(self._wanted.header_pause_seconds)

    async def _send_stream(self, stream: Stream) -> None:
        entry, digest = self._entry, sha256()
        loop, rate = asyncio.get_running_loop(), self._wanted.tokens_per_second
        await self._send(stream.opening.encode())
        started = loop.time()
        for chunk in stream.chunks:
            if chunk.text:
                await self._make_trouble(stream)
            due = (entry.output_tokens + chunk.tokens) / rate if rate else 0
            await self._connection.pause(started + due - loop.time())
            entry.output_tokens += chunk.tokens
            if chunk.text:
                text = chunk.text.encode()
                digest.update(text)
                entry.chunks += 1
                entry.answer_bytes += len(text)
                entry.answer_sha256 = digest.hexdigest()
            if chunk.data:
                await self._send(chunk.data.encode())
        await self._make_trouble(stream, at_the_end=True)
        entry.output_tokens = stream.tokens
        await self._send(stream.ending.encode(), last=True)

    async def _make_trouble(self, stream: Stream, *, at_the_end: bool = False) -> None:
        sent = self._entry.chunks

        def due(after: int | None) -> bool:
            return after is not None and (after == sent or (at_the_end and after > sent))

        if due(self._wanted.garbage_after_chunks):
            await self._send(stream.garbage.encode())
        if due(self._wanted.stall_after_chunks):
            await self._connection.pause(None)
        if due(self._wanted.error_after_chunks):
            await self._send(stream.error.encode())
        if due(self._wanted.error_after_chunks) or due(self._wanted.end_after_chunks):
            await self._connection.write(NO_MORE)
            raise CutOff
        if due(self._wanted.cut_after_chunks):
            raise CutOff

    async def _send(self, content: bytes, *, last: bool = False) -> None:
        pieces = in_pieces(content, self._wanted)
        for number, piece in enumerate(pieces, 1):
            if self._begun and self._wanted.trickle_pause_seconds:
                await self._connection.pause(self._wanted.trickle_pause_seconds)
            self._begun = True
            if self._left is not None and len(piece) >= self._left:
                await self._connection.write(self._framed(piece[: self._left]))
                await self._stop()
            if self._left is not None:
                self._left -= len(piece)
            if last and number == len(pieces):
                self._end()
                await self._connection.write(self._framed(piece) + (NO_MORE if self._chunked else b""))
            else:
                await self._connection.write(self._framed(piece))

    async def _stop(self) -> None:
        if self._wanted.stall_after_bytes is not None:
            await self._connection.pause(None)
        raise CutOff

    def _end(self) -> None:
        self._connection.when_left = None
        self._entry.complete = True
        self._books.close(self._entry)

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked and piece else piece


def in_pieces(content: bytes, wanted: NextAnswer) -> list[bytes]:
    """One at least."""
    if wanted.split_utf8:
        return inside_letters(content)
    size = wanted.trickle_bytes or max(len(content), 1)
    return [content[start : start + size] for start in range(0, len(content), size)] or [content]


def inside_letters(content: bytes) -> list[bytes]:
    """Cut behind the first byte of every letter that has several."""
    cuts = [number + 1 for number, byte in enumerate(content) if byte >= 0xC0]
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def head_of(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {phrase_of(status)}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded"
