"""Server-sent events, from bytes that may be cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.event_stream import LONGEST_LINE, EventData
from providers.problems import ProviderFailed

WHOLE = (
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"a":"\xc3\xb6"}\n\n'
    b'event: message_start\r\ndata:{"b":1}\r\nid: 7\r\n\r\n'
    b"data: one\ndata: two\n\n"
    b"retry: 5\n\nevent: ping\n\ndata:\n\n"
    b"data: [DONE]\n\n"
    b"data: never ended"
)
DATA = [b'{"a":"\xc3\xb6"}', b'{"b":1}', b"one\ntwo", b"[DONE]"]


def fed(*pieces: bytes) -> list[bytes]:
    reader = EventData()
    return [data for piece in pieces for data in reader.feed(piece)]


def test_only_the_data_of_whole_events_is_given() -> None:
    assert fed(WHOLE) == DATA


@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_wherever_the_bytes_are_cut_the_data_is_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    assert fed(*(WHOLE[start:end] for start, end in pairwise(places))) == DATA


@pytest.mark.parametrize("piece", [b"x" * 100_000, b"data: " + b"x" * 100_000 + b"\n"])
def test_a_line_or_an_event_without_an_end_is_given_up(piece: bytes) -> None:
    with pytest.raises(ProviderFailed, match="usable answer") as failure:
        fed(*[piece] * (LONGEST_LINE // len(piece) + 2))
    assert failure.value.reason == "reply_too_large"
