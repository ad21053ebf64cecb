"""An answer in parts, read by the request that asked for it."""

from collections.abc import Iterator
from time import monotonic

from metering.open_call import OpenCall
from metering.settle import Outcome


class Stream(Iterator[bytes]):
    """The parts of an answer. It counts what was used when it ends, is closed, or breaks; once."""

    def __init__(self, call: OpenCall, lease_seconds: float, *, first: bytes | None, parts: Iterator[bytes]) -> None:
        self.headers = call.headers
        self._call = call
        self._first = first
        self._parts = parts
        self._extend_every = lease_seconds / 3
        self._extend_at = monotonic() + self._extend_every
        self._ended = False

    def __next__(self) -> bytes:
        if (first := self._first) is not None:
            self._first = None
            return first
        if monotonic() >= self._extend_at:
            self._extend_at = monotonic() + self._extend_every
            if not self._call.extend():
                self.close()
                raise StopIteration
        try:
            return next(self._parts)
        except StopIteration:
            self._end(Outcome.DELIVERED)
            raise
        except BaseException:
            self._end(Outcome.CUT_SHORT)
            raise

    def close(self) -> None:
        try:
            if (close := getattr(self._parts, "close", None)) is not None:
                close()
        finally:
            self._end(Outcome.CUT_SHORT)

    def _end(self, outcome: Outcome) -> None:
        if self._ended:
            return
        self._ended = True
        if outcome is Outcome.CUT_SHORT:
            self._call.tally.answer = None  # part of an answer is none
        self._call.answered(outcome)
