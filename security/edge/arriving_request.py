"""How much of a request has arrived. The web server's main loop asks it, so that no thread waits for a client.

It only finds the end, by the framing of RFC 9112. Whether the request is acceptable is for the parser to say, so what breaks
the rules of framing is passed on to it at once.
"""

import re
from http import HTTPStatus

CRLF = b"\r\n"
HEAD_END = b"\r\n\r\n"
LARGEST_HEAD = 64 * 1024
LARGEST_KEPT_BODY = 2 * 1024 * 1024
"""Of what is kept until it is whole, chunks with their framing. With a larger one a thread gets the head: see late_body.py."""
LONGEST_CHUNK_LINE = 8190
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r]*)")


class ArrivingRequest:
    """`ready`: a thread can have it. `whole`: nothing of it is missing, so another request may follow it."""

    has_head = False
    ready = False
    whole = False
    expects_continue = False
    refusal: HTTPStatus | None = None
    _body = 0
    _chunked = False
    _length = 0
    _looked = 0

    def __init__(self) -> None:
        self.received = bytearray()

    def add(self, data: bytes) -> None:
        self.received += data
        if not self.has_head:
            self._look_for_end_of_head()
        elif self._chunked:
            self._follow_chunks()
        elif len(self.received) >= self._length:
            self.ready = self.whole = True

    def header(self, name: str) -> str:
        """The values of a header of a head that is whole, joined as WSGI joins them. `name` is in lower case."""
        head = bytes(self.received[: self._body])
        values = [
            value
            for line in head.split(CRLF)[1:]
            for key, _, value in [line.partition(b":")]
            if key.lower() == name.encode()
        ]
        return ",".join(value.strip(b" \t").decode("latin-1") for value in values)

    def forget_body(self) -> None:
        """A thread has it now."""
        del self.received[self._body :]

    def _look_for_end_of_head(self) -> None:
        received = self.received
        end = received.find(HEAD_END, self._looked)
        if end < 0:
            self._looked = max(0, len(received) - 3)
            if len(received) > LARGEST_HEAD:
                self.refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            elif received.count(b"\n") != received.count(CRLF):
                self.refusal = HTTPStatus.BAD_REQUEST
            return
        self.has_head = True
        framing = {name: value.rstrip(b" \t") for name, value in _FRAMING.findall(received[:end].lower())}
        self._body = end + len(HEAD_END)
        coding, length = framing.get(b"transfer-encoding"), framing.get(b"content-length")
        self.expects_continue = framing.get(b"expect") == b"100-continue"
        if coding is not None and length is None and coding.endswith(b"chunked"):
            self._chunked, self._looked = True, self._body
            self._follow_chunks()
        elif coding is None and length is not None and length.isdigit() and len(length) <= 18:
            self._length = self._body + int(length)
            self.whole = len(received) >= self._length
            self.ready = self.whole or int(length) > LARGEST_KEPT_BODY
        else:
            self.ready = self.whole = True

    def _follow_chunks(self) -> None:
        """From chunk to chunk (RFC 9112, 7.1); `_looked` is where the next one begins."""
        received = self.received
        if len(received) > LARGEST_HEAD + LARGEST_KEPT_BODY:
            self.ready = True
        while not self.ready:
            line_end = received.find(CRLF, self._looked)
            if line_end < 0:
                self.ready = len(received) - self._looked > LONGEST_CHUNK_LINE
                return
            size = _CHUNK_SIZE.match(received, self._looked, line_end)
            if size is None:
                self.ready = True
            elif int(size[0], 16) == 0:
                # The trailer section ends with an empty line, and may be that alone.
                self.whole = received.find(HEAD_END, line_end) >= 0
                self.ready = self.whole or len(received) - line_end > LARGEST_HEAD
                return
            else:
                end = line_end + len(CRLF) + int(size[0], 16)
                if len(received) < end + len(CRLF):
                    return
                self.ready = received[end : end + len(CRLF)] != CRLF
                self._looked = end + len(CRLF)
