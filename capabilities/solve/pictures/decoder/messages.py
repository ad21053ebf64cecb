"""What goes through the socket between a web process and a decoder: a line of JSON, then as many bytes as it says."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

LENGTHS: Final = "lengths"
LONGEST_LINE: Final = 1_000
LARGEST_CONTENT: Final = 32 * 1024 * 1024
"""Bytes. More than any picture has; whoever says more is not to be trusted."""


def message(fields: dict[str, Any], *contents: bytes) -> list[bytes]:
    """The parts to send, in their order."""
    line = json.dumps({**fields, LENGTHS: [len(each) for each in contents]})
    return [line.encode() + b"\n", *contents]


def messages(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Until the other side closes it. Raises ValueError, KeyError and TypeError for what is no message."""
    while line := stream.readline(LONGEST_LINE):
        fields = json.loads(line)
        if not all(0 <= length <= LARGEST_CONTENT for length in fields[LENGTHS]):
            raise ValueError("A message says that it is larger than any picture")
        contents = [stream.read(length) for length in fields[LENGTHS]]
        if [len(each) for each in contents] != fields[LENGTHS]:
            raise ValueError("The other side ended in the middle of a message")
        yield fields, contents
