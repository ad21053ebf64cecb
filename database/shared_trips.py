"""Shared trips: requests that go to one server at the same time go together, and each goes on when its own part is done.

Whoever finds nobody on the way becomes the leader and takes along everything that waits. There is no timer, and no thread
of its own but for who must not wait long: a lone request goes at once, and under load a trip carries what gathered while the
one before was under way.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class TripNotCompleted(Exception):
    """The trip was cut short, or did not come back in time: the item may have arrived or not."""


class TripNotBegun(TripNotCompleted):
    """No trip took the item along: it was taken out of the line before, or no connection came about. It has not arrived."""


class SharedTrips(Generic[Item, Result]):
    """`carry` takes items in the order they came and gives for each its result, or the exception that it ends with.

    No two trips are under way at once, so `carry` may use one connection.
    """

    def __init__(self, carry: Callable[[Sequence[Item]], Sequence[Result | Exception]], largest: int) -> None:
        self._carry = carry
        self._largest = largest
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._has_leader = False

    @property
    def under_way(self) -> bool:
        """Whether a trip is, or is about to begin."""
        return self._has_leader

    def submit(self, item: Item, longest_wait: float) -> Result:
        """Returns when the trip with this item is back. Raises TripNotCompleted (after `longest_wait` seconds), or the
        item's own exception.
        """
        entry, leads = self._join(item)
        if not leads and not entry.wait(longest_wait):
            leads = self._give_up(entry)
        while leads or entry.leads:
            leads = entry.leads = False
            self._lead()
        return entry.result()

    def post(self, item: Item) -> None:
        """Let the item go with the next trip, and do not wait for it. A trip begins now when none is under way."""
        _, leads = self._join(item, is_awaited=False)
        if leads:
            self._lead()

    def submit_within(self, item: Item, seconds: float) -> Result:
        """The same, but back after so many seconds also when this caller would lead: then a thread of its own does."""
        until = monotonic() + seconds
        entry, leads = self._join(item)
        handed_over = False
        while entry.outcome is None:
            if leads and not handed_over:
                handed_over = True
                self._lead_elsewhere()
            if entry.wait(max(0, until - monotonic())):
                leads = entry.leads
            elif handed_over:
                raise TripNotCompleted("the trip is not back yet")
            else:
                leads = self._give_up(entry)
        return entry.result()

    def _join(self, item: Item, *, is_awaited: bool = True) -> tuple["_Entry[Item, Result]", bool]:
        """The last place in line, and whether its owner must lead because nobody does."""
        entry: _Entry[Item, Result] = _Entry(item, is_awaited=is_awaited)
        with self._lock:
            self._waiting.append(entry)
            leads, self._has_leader = not self._has_leader, True
        return entry, leads

    def _give_up(self, entry: "_Entry[Item, Result]") -> bool:
        """The wait was too long. True when the entry was chosen to lead just now: then it must, or nobody would."""
        with self._lock:
            if entry.leads or entry.outcome is not None:
                return entry.leads
            try:
                self._waiting.remove(entry)
            except ValueError:
                raise TripNotCompleted("the leader did not come back") from None
        raise TripNotBegun("the leader did not come back")

    def _lead_elsewhere(self) -> None:
        try:
            threading.Thread(target=self._lead, daemon=True).start()
        except RuntimeError:  # no thread is to be had, and without a leader nobody would ever be served
            self._lead()

    def _lead(self) -> None:
        """Take what waits, then pass the lead on: to the first in line who is waiting, and to nobody when the line is empty."""
        goes_on = True
        while goes_on:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest))]
            outcomes: Sequence[Result | Exception] = ()
            try:
                outcomes = self._carry([entry.item for entry in batch])
            finally:
                with self._lock:
                    completed = len(outcomes) == len(batch)
                    if completed:
                        for entry, outcome in zip(batch, outcomes, strict=True):
                            entry.outcome = (outcome,)
                    else:
                        for entry in batch:
                            entry.outcome = (TripNotCompleted("the trip was interrupted"),)
                    successor = next((entry for entry in self._waiting if entry.woken is not None), None)
                    goes_on = completed and successor is None and bool(self._waiting)
                    self._has_leader = successor is not None or goes_on
                    if successor is not None:
                        successor.leads = True
                for entry in batch:
                    entry.wake()
                if successor is not None:
                    successor.wake()


class _Entry(Generic[Item, Result]):
    """One item in line. A bare lock is the cheapest thing that one thread can wait on."""

    __slots__ = ("item", "leads", "outcome", "woken")

    def __init__(self, item: Item, *, is_awaited: bool) -> None:
        self.item = item
        self.leads = False
        self.outcome: tuple[Result | Exception] | None = None
        self.woken = threading.Lock() if is_awaited else None
        if self.woken is not None:
            self.woken.acquire()

    def wait(self, seconds: float) -> bool:
        assert self.woken is not None
        return self.woken.acquire(timeout=seconds)

    def wake(self) -> None:
        """May be said twice: to whoever is to lead and gives up in that moment, and again when its trip is back."""
        if self.woken is not None:
            with suppress(RuntimeError):
                self.woken.release()

    def result(self) -> Result:
        assert self.outcome is not None
        (outcome,) = self.outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
