"""Reading typed text takes a time that grows with its length alone."""

import sys
import time

from security.api.typed_text import trimmed, without_groups


def test_what_stands_inside_stays() -> None:
    assert trimmed("\u202a Zo\u00eb  Smith\u200d \ufeff") == "Zo\u00eb  Smith\u200d"
    assert trimmed(" \n") == ""


def test_every_white_space_of_unicode_is_a_blank() -> None:
    blanks = "".join(character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace())
    assert trimmed(f"{blanks}a{blanks}") == without_groups(f"{blanks}a{blanks}") == "a"


def test_a_long_run_of_blanks_costs_nothing() -> None:
    text = "a" + " \u200b" * 500_000 + "b"
    began = time.perf_counter()
    assert trimmed(text) == text
    assert without_groups(text) == "ab"
    assert time.perf_counter() - began < 5
