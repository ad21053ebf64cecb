"""What goes through the socket between a web process and a decoder: a line of JSON, then as many bytes as it says."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

LENGTHS: Final = "lengths"


def message(fields: dict[str, Any], *contents: bytes) -> list[bytes]:
    """The parts to send, in their order."""
    line = json.dumps({**fields, LENGTHS: [len(each) for each in contents]})
    return [line.encode() + b"\n", *contents]


def messages(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Until the other side closes it. Raises ValueError and KeyError for what is no message."""
    while line := stream.readline():
        fields = json.loads(line)
        yield fields, [stream.read(length) for length in fields[LENGTHS]]
