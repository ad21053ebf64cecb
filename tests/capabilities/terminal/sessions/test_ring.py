"""capabilities/terminal/sessions/ring.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.terminal.sessions.ring import Ring


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(min_value=1, max_value=64))
def test_it_has_the_last_bytes_at_their_places(outputs: list[bytes], most: int) -> None:
    ring, everything = Ring(most), b""
    for output in outputs:
        ring.add(output)
        everything += output
        assert ring.end == len(everything)
        assert ring.end - ring.start == min(most, len(everything))
        assert ring.read(ring.start, most) == everything[-most:]


def test_a_part_of_it_can_be_read() -> None:
    ring = Ring(10)
    ring.add(b"0123456789abc")
    assert (ring.start, ring.end) == (3, 13)
    assert ring.read(5, 4) == b"5678"
    assert ring.read(13, 4) == b""


@pytest.mark.parametrize("place", [2, 14])
def test_what_is_not_there_cannot_be_read(place: int) -> None:
    ring = Ring(10)
    ring.add(b"0123456789abc")
    with pytest.raises(ValueError, match="not between 3 and 13"):
        ring.read(place, 1)


@pytest.mark.parametrize(
    ("held", "place", "next_one"),
    [
        ("ab", 0, 0),
        ("€uro", 1, 3),
        ("€uro", 2, 3),
        ("😀x", 1, 4),
        ("€", 1, 1),  # the rest of a character that fell out with nothing behind it
    ],
)
def test_a_character_that_was_cut_is_passed_over(held: str, place: int, next_one: int) -> None:
    ring = Ring(100)
    ring.add(held.encode())
    assert ring.character_from(place) == next_one
