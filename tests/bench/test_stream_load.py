"""Pieces of streams are counted once, wherever they are cut on their way, and a stream without an end has failed."""

import socket
import time
from contextlib import closing
from threading import Thread

import pytest

from bench.stream_load import Crowd
from bench.token_server import framed

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def answered(pieces: list[bytes], *, again: bool = False) -> Crowd:
    """What a crowd of one makes of an answer that comes in these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(1000)
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.0001)

        thread = Thread(target=answer)
        thread.start()
        with closing(Crowd(listener.getsockname()[1], [b"GET / HTTP/1.1\r\n\r\n"], again=again)) as crowd:
            crowd.grow(1, 1000)
            crowd.finish(5)
        thread.join()
    return crowd


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_each_piece_counts_once_however_it_is_cut(size: int) -> None:
    deltas = [b'data: {"text":"%.6f "}\n\n' % (time.monotonic() - age) for age in (0.5, 0.25, 0.0)]
    whole = HEAD + b"".join(map(framed, deltas)) + b"0\r\n\r\n"
    crowd = answered([whole[at : at + size] for at in range(0, len(whole), size)])
    assert (crowd.failures, crowd.open, len(crowd.first_ms)) == ([], 0, 1)
    assert [round(each / 1000 - age) for each, age in zip(crowd.delay_ms, (0.5, 0.25, 0.0), strict=True)] == [0, 0, 0]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        HEAD + framed(b'data: {"text":"1.000000 "}\n\n'),
        HEAD + framed(b"event: error\ndata: {}\n\n") + b"0\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_whole_stream_has_failed(answer: bytes) -> None:
    assert len(answered([answer]).failures) == 1
