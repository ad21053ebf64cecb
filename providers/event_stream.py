"""The data of server-sent events (html.spec.whatwg.org, 9.2.6), from the bytes of a stream."""

from providers.problems import ProviderFailed

LONGEST_LINE = 1024 * 1024


class EventData:
    """Lines end with LF or CRLF, as all four providers send; the lone CR of the standard is not taken for an end.

    Everything but `data` is passed over: the type of an event, where it matters, stands in its data as well. Bytes stay bytes, so a
    character may be cut anywhere.
    """

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: bytes | None = None

    def feed(self, received: bytes) -> list[bytes]:
        """The data of the events that are complete now. Raises ProviderFailed for a line or an event that is too long."""
        lines = (self._rest + received if self._rest else received).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise ProviderFailed("reply_too_large")
        complete: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                value = line[5:].strip(b" \r")
                self._data = value if self._data is None else self._data + b"\n" + value
                if len(self._data) > LONGEST_LINE:
                    raise ProviderFailed("reply_too_large")
            elif not line or line == b"\r":
                if self._data:
                    complete.append(self._data)
                self._data = None
        return complete
