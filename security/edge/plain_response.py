"""Answers as gunicorn sends them, but without a `Server` header, and a short one with its head in one piece."""

import re
import time
from collections.abc import Sequence
from functools import lru_cache

from gunicorn import util
from gunicorn.http.wsgi import Response

FIELDS = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)*")
"""RFC 9110, 5.1 and 5.5."""
HOP_BY_HOP = frozenset(util.hop_headers)


class PlainResponse(Response):  # type: ignore[misc]
    """gunicorn checks field by field, and sends the head alone."""

    headers_sent: bool
    _fields = ""
    """The lines of `headers`."""
    _unsent = b""
    """A head that goes with the first part of its body."""

    def process_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
        values = {name.lower(): value for name, value in headers}
        well_formed = FIELDS.fullmatch(fields) is not None and fields.count("\r\n") == len(headers)
        if not well_formed or not HOP_BY_HOP.isdisjoint(values):
            super().process_headers(headers)  # it raises, or leaves out what is not for the application to say
            return
        self.headers, self._fields = headers, fields
        if (length := values.get("content-length")) is not None:
            self.response_length = int(length)

    def default_headers(self) -> list[str]:
        """No `Server`: it tells a stranger what to attack (ASVS 5.0, 13.4.6)."""
        connection = "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        head = [
            f"HTTP/{major}.{minor} {self.status}\r\nDate: {_http_date(int(time.time()))}\r\nConnection: {connection}\r\n"
        ]
        if self.chunked:
            head.append("Transfer-Encoding: chunked\r\n")
        return head

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        if not self._fields or not self.response_length or self._omits_body:
            super().send_headers()
            return
        self._unsent = f"{''.join(self.default_headers())}{self._fields}\r\n".encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        super()._emit_body(data)

    def close(self) -> None:
        super().close()
        if self._unsent:
            self._emit_body(b"")


@lru_cache(1)
def _http_date(second: int) -> str:
    return util.http_date(second)  # type: ignore[no-any-return]
