"""What many ask for at the same moment is read once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from capabilities.shop.products.conditional import Tagged
from capabilities.shop.products.shared_reads import LARGEST_KEPT, SharedReads
from security.edge.problems import NotFound
from tests.metering.limit_backends import eventually

AN_HOUR = 3600.0


class Catalogue:
    """Counts how often it is read, and says what is in it then."""

    def __init__(self, size: int = 0) -> None:
        self.readings = 0
        self.size = size
        self.known: str | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def read(self, question: str, known: Tagged | None) -> Tagged:
        self.readings += 1
        self.known = None if known is None else known.body.decode().strip()
        told = f"{question} {self.readings}"
        assert self.may_answer.wait(10)
        if question == "unknown":
            raise NotFound
        return Tagged.of(told.encode().ljust(self.size))


def reads(catalogue: Catalogue, same_moment: float, renewed_after: float | None = None) -> Callable[[str], str]:
    shared = SharedReads[str](catalogue.read, same_moment, same_moment if renewed_after is None else renewed_after)
    return lambda question: shared(question).body.decode().strip()


def test_one_moment_is_read_once_and_the_next_one_anew() -> None:
    catalogue = Catalogue()
    within, never = reads(catalogue, AN_HOUR), reads(catalogue, 0)
    assert [within("a"), within("b"), within("a"), within("b")] == ["a 1", "b 2", "a 1", "b 2"]
    assert [never("a"), never("a")] == ["a 3", "a 4"]


def test_who_waits_for_a_reading_is_told_what_began_after_asking() -> None:
    catalogue = Catalogue()
    read = reads(catalogue, 0)
    catalogue.may_answer.clear()
    with ThreadPoolExecutor(9) as callers:
        first = callers.submit(read, "a")
        assert eventually(lambda: catalogue.readings == 1)
        others = [callers.submit(read, "a") for _ in range(8)]
        another = callers.submit(read, "b")
        assert not another.done()
        catalogue.may_answer.set()
        assert first.result() == "a 1"
        assert "a 1" not in {each.result() for each in others}
    assert catalogue.readings < 11


def test_nobody_waits_for_a_reading_before_the_moment_ends() -> None:
    catalogue = Catalogue()
    read = reads(catalogue, AN_HOUR, renewed_after=0)
    assert (read("a"), catalogue.known) == ("a 1", None)
    catalogue.may_answer.clear()
    with ThreadPoolExecutor(1) as callers:
        renewed = callers.submit(read, "a")
        assert eventually(lambda: catalogue.readings == 2)
        assert [read("a"), read("a")] == ["a 1", "a 1"]
        catalogue.may_answer.set()
        assert (renewed.result(), catalogue.known) == ("a 2", "a 1")


def test_a_failure_is_told_to_all_and_not_kept() -> None:
    catalogue = Catalogue()
    read = reads(catalogue, AN_HOUR)
    for _ in range(2):
        with pytest.raises(NotFound):
            read("unknown")
    assert catalogue.readings == 2


def test_what_is_large_is_not_kept() -> None:
    catalogue = Catalogue(LARGEST_KEPT + 1)
    read = reads(catalogue, AN_HOUR)
    assert [read("a"), read("a")] == ["a 1", "a 2"]
