"""The end of a request is found at its last byte, wherever the network cuts it."""

from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.edge.arriving_request import LARGEST_HEAD, LARGEST_KEPT_BODY, ArrivingRequest
from security.edge.edge import ABSOLUTE_BODY_LIMIT

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


def arriving(*pieces: bytes) -> ArrivingRequest:
    request = ArrivingRequest()
    for piece in pieces:
        request.add(piece)
    return request


def chunk(data: bytes) -> bytes:
    return f"{len(data):x};a=b\r\n".encode() + data + b"\r\n"


bodies = st.one_of(
    st.just(b"\r\n"),
    st.binary(max_size=50).map(lambda body: f"Content-Length: {len(body)}\r\n\r\n".encode() + body),
    st.lists(st.sampled_from([b"a", b"\r\n0\r\n\r\n", b"x" * 20]), max_size=4).flatmap(
        lambda pieces: st.sampled_from([b"\r\n", b"X-Trailer: 1\r\n\r\n"]).map(
            lambda end: b"TRANSFER-encoding:  gzip, Chunked\r\n\r\n" + b"".join(map(chunk, pieces)) + b"0\r\n" + end
        )
    ),
)


@given(body=bodies, cuts=st.lists(st.integers(0, 300)), empty_line=st.sampled_from([b"", b"\r\n"]))
def test_a_request_is_whole_with_its_last_byte_and_not_before(body: bytes, cuts: list[int], empty_line: bytes) -> None:
    whole = empty_line + HEAD + body
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole)), len(whole) - 1})
    request = ArrivingRequest()
    for begin, end in pairwise(places):
        assert not request.ready
        request.add(whole[begin:end])
    assert request.ready
    assert request.whole
    assert request.received == whole


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: cow\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1_0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 9000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-A: b\r\n" * 10_000,
        HEAD + f"Content-Length: {LARGEST_KEPT_BODY + 1}\r\n\r\n".encode(),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"a" * (LARGEST_KEPT_BODY + LARGEST_HEAD)),
    ],
)
def test_what_nobody_would_wait_for_is_passed_on_at_once(sent: bytes) -> None:
    assert arriving(sent).ready


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nX-A: " + b"a" * LARGEST_HEAD, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (b"GET / HTTP/1.1\nHost: a\n\n", HTTPStatus.BAD_REQUEST),
    ],
)
def test_a_head_that_cannot_end_is_refused(sent: bytes, status: HTTPStatus) -> None:
    assert arriving(sent).refusal == status


def test_a_line_end_in_two_pieces_is_one() -> None:
    request = arriving(b"GET / HTTP/1.1\r", b"\nHost: a\r\n\r", b"\n")
    assert request.refusal is None
    assert request.whole


def test_headers_of_one_name_are_joined() -> None:
    request = arriving(HEAD + b"X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for:192.0.2.2 \r\nContent-Length: 9\r\n\r\na")
    assert not request.ready
    assert request.header("x-forwarded-for") == "192.0.2.1,192.0.2.2"
    assert request.header("host") == "a"
    assert request.header("x-other") == ""


def test_every_body_that_a_route_takes_is_kept_in_chunks_too() -> None:
    assert LARGEST_KEPT_BODY >= 2 * ABSOLUTE_BODY_LIMIT
