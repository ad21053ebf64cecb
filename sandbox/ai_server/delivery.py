"""How an answer travels: at once, in pieces, slowly, or not to its end."""

from collections.abc import Mapping, Sequence

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.http_listener import Piece, Pieces, Reply

SILENCE_SECONDS = 3600.0


def delivered(
    status: int, parts: Sequence[str], headers: Mapping[str, str], wanted: NextAnswer, *, stream: bool
) -> Reply:
    """`parts` are the events of a stream, or the one body. A stream has no length."""
    if stream and wanted.cut_after_chunks is not None:
        parts = parts[: wanted.cut_after_chunks]
    content = [part.encode() for part in parts]
    length = None if stream else sum(len(each) for each in content)
    pieces = [piece for each in content for piece in in_pieces(each, wanted)]
    end = min((each for each in (wanted.cut_after_bytes, wanted.stall_after_bytes) if each is not None), default=None)
    cut = end is not None or (stream and wanted.cut_after_chunks is not None)
    sent = [Piece(data, wanted.trickle_pause_seconds if number else 0) for number, data in enumerate(upto(pieces, end))]
    body = Pieces(sent, length, cut, SILENCE_SECONDS if wanted.stall_after_bytes is not None else 0)
    return Reply(
        status,
        body,
        headers,
        stall_seconds=wanted.delay_seconds,
        header_pause_seconds=wanted.header_pause_seconds,
        media_type="text/event-stream; charset=utf-8" if stream else "application/json",
    )


def in_pieces(content: bytes, wanted: NextAnswer) -> list[bytes]:
    if wanted.split_utf8:
        return inside_letters(content)
    size = wanted.trickle_bytes or max(len(content), 1)
    return [content[start : start + size] for start in range(0, len(content), size)]


def inside_letters(content: bytes) -> list[bytes]:
    """Cut behind the first byte of every letter that has several."""
    cuts = [number + 1 for number, byte in enumerate(content) if byte >= 0xC0]
    return [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def upto(pieces: Sequence[bytes], end: int | None) -> list[bytes]:
    if end is None:
        return list(pieces)
    left, kept = end, []
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return kept
