"""A plain request is to the application what gunicorn's own parser makes of it."""

import io
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from security.edge.plain_request import PlainRequestParser

USUAL = b"POST /api/items?page=2 HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

UNUSUAL = {
    "another version": USUAL.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "another method": USUAL.replace(b"POST", b"BREW"),
    "two slashes": USUAL.replace(b"/api", b"//api"),
    "a fragment": USUAL.replace(b"?page", b"#page"),
    "a whole address": USUAL.replace(b"/api", b"http://api.example.com/api"),
    "an underscore": USUAL.replace(b"Content-Type", b"Content_Type"),
    "two hosts": USUAL.replace(b"Host:", b"Host: other.example.com\r\nHost:"),
    "a header twice": USUAL.replace(b"Host:", b"Accept: a\r\nAccept: b\r\nHost:"),
    "chunks": USUAL.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(
        b"{}", b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "expecting leave": USUAL.replace(b"Host:", b"Expect: 100-continue\r\nHost:"),
    "a folded line": USUAL.replace(b"Host:", b"Accept: a\r\n b\r\nHost:"),
    "a bare line feed": USUAL.replace(b"\r\nContent-Type", b"\nContent-Type"),
    "a NUL": USUAL.replace(b"json", b"js\0n"),
    "a space before the colon": USUAL.replace(b"Host:", b"Host :"),
    "a length that is no number": USUAL.replace(b"Length: 2", b"Length: +2"),
    "a length of other digits": USUAL.replace(b"Length: 2", b"Length: \xb2"),
    "more to come": USUAL.replace(b"Length: 2", b"Length: 3"),
    "a long head": USUAL.replace(b"Host:", b"X-Long: " + b"x" * 5000 + b"\r\nHost:"),
    "no host": USUAL.replace(b"Host: api.example.com\r\n", b""),
    "no field": b"GET / HTTP/1.1\r\n\r\n",
}


def config() -> Config:
    made = Config()
    for name, value in {"header_map": "drop", "forwarder_headers": "", "forwarded_allow_ips": ""}.items():
        made.set(name, value)
    return made


def read_by(parser: type[RequestParser], sent: bytes) -> tuple[Any, ...] | str:
    """What the application sees of it and what is left for the next request, or the name of the refusal."""
    reader = parser(config(), (), ("192.0.2.1", 4711))
    reader.unreader.unread(sent)
    try:
        request = next(reader)
        body = request.body.read()
    except Exception as error:
        return type(error).__name__
    names = ("method", "uri", "path", "query", "fragment", "version", "headers", "trailers", "scheme", "peer_addr")
    seen = tuple(getattr(request, name) for name in (*names, "remote_addr", "proxy_protocol_info", "req_number"))
    return *seen, body, request.should_close(), request._expected_100_continue, reader.unreader.take_buffered()


@pytest.mark.parametrize("sent", [USUAL, *UNUSUAL.values()], ids=["usual", *UNUSUAL])
def test_it_is_what_gunicorn_reads(sent: bytes) -> None:
    assert read_by(PlainRequestParser, sent) == read_by(RequestParser, sent)


def test_what_follows_it_is_the_next_request() -> None:
    second = USUAL.replace(b"page=2", b"page=3")
    reader = PlainRequestParser(config(), (), ("192.0.2.1", 4711))
    reader.unreader.unread(USUAL + second)
    assert [(next(reader).query, isinstance(reader.mesg.body, io.BytesIO)) for _ in range(2)] == [
        ("page=2", True),
        ("page=3", True),
    ]


LINES = st.sampled_from(
    [
        *(
            b"Host: a",
            b"host:b",
            b"Content-Length: 0",
            b"Content-Length: 2",
            b"content-length:\t02 ",
            b"Content-Length: 1_0",
        ),
        *(b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: Keep-Alive", b"Connection: upgrade"),
        *(b"Expect: 100-continue", b"Expect: more", b"X_Y: 1", b"X-Y: \xe4\xff", b"X-Y: a\tb", b"X-Y:", b"X-Y", b": x"),
        *(
            b"X Y: 1",
            b"X-Y: a\x00",
            b"X-Y: a\x7f",
            b"X-Y: a\rb",
            b"X-Y: a\nb",
            b" X-Y: 1",
            b"Upgrade: h2c",
            b"Te: trailers",
        ),
        *(
            b"X-Forwarded-Proto: https",
            b"Script-Name: /x",
            b"Content-Type: a",
            b"Content-Type: b",
            b"Cookie: a=b",
            b"Cookie: c",
        ),
    ]
)
TARGETS = st.sampled_from(
    [b"/", b"/a?b=c", b"/a?b?c", b"//a", b"/a#b", b"*", b"/%2e%2e/", b"/\xe4", b"/a b", b"http://a/", b"/a:1"]
)
FIRST_LINES = st.builds(
    lambda method, target, version: b" ".join((method, target, version)),
    st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"get", b"G", b"P0ST", b"GET "]),
    TARGETS,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""]),
)


@given(
    first=FIRST_LINES,
    lines=st.lists(LINES, max_size=8),
    body=st.sampled_from([b"", b"{}", b"{}GET / HTTP/1.1\r\n\r\n"]),
)
def test_whatever_comes_is_what_gunicorn_reads(first: bytes, lines: list[bytes], body: bytes) -> None:
    sent = b"\r\n".join((first, *lines)) + b"\r\n\r\n" + body
    assert read_by(PlainRequestParser, sent) == read_by(RequestParser, sent)


@given(at=st.integers(0, len(USUAL) - 1), byte=st.binary(min_size=1, max_size=1))
def test_one_other_byte_is_what_gunicorn_reads(at: int, byte: bytes) -> None:
    sent = USUAL[:at] + byte + USUAL[at + 1 :]
    assert read_by(PlainRequestParser, sent) == read_by(RequestParser, sent)
