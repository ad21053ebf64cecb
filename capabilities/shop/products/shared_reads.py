"""What many ask for at the same moment is read once for all of them."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from time import monotonic
from typing import Final, Generic, TypeVar

from auth.bounded_cache import BoundedCache
from capabilities.shop.products.conditional import Tagged
from database.shared_trips import SharedTrips, TripNotCompleted
from security.edge.problems import DependencyUnavailable

Question = TypeVar("Question", bound=Hashable)

SAME_MOMENT_SECONDS: Final = 0.005
"""Shorter than any write of the shop takes, so that whoever writes and then reads is not told what was there before."""
MOST_SHARERS: Final = 1_000
LONGEST_WAIT_SECONDS: Final = 15.0
"""For a connection and for the statement, and before that for those of the reading that is under way."""
MOST_QUESTIONS: Final = 64
LARGEST_KEPT: Final = 256 * 1024
"""Bytes. A list of long descriptions is read again, so that what is kept stays below 16 MiB."""


class SharedReads(Generic[Question]):
    """Different questions do not wait for each other."""

    def __init__(self, read: Callable[[Question], Tagged], same_moment: float = SAME_MOMENT_SECONDS) -> None:
        self._read = read
        self._same_moment = same_moment
        self._trips: BoundedCache[Question, SharedTrips[None, Tagged]] = BoundedCache(MOST_QUESTIONS)
        self._kept: BoundedCache[Question, tuple[float, Tagged]] = BoundedCache(MOST_QUESTIONS)
        """With the moment at which its reading began."""

    def __call__(self, question: Question) -> Tagged:
        """Raises what `read` raises, and DependencyUnavailable."""
        found = self._found_now(question)
        if found is not None:
            return found
        trips = self._trips.get(question)
        if trips is None:  # of two who are the first at once, each reads
            trips = SharedTrips(partial(self._carry, question), MOST_SHARERS)
            self._trips.put(question, trips)
        try:
            return trips.submit(None, LONGEST_WAIT_SECONDS)
        except TripNotCompleted:
            raise DependencyUnavailable from None

    def _found_now(self, question: Question) -> Tagged | None:
        kept = self._kept.get(question)
        return kept[1] if kept is not None and monotonic() - kept[0] < self._same_moment else None

    def _carry(self, question: Question, sharers: Sequence[None]) -> Sequence[Tagged | Exception]:
        found: Tagged | Exception | None = self._found_now(question)
        if found is None:
            began = monotonic()
            try:
                found = self._read(question)
            except Exception as error:
                found = error
            else:
                if len(found.body) <= LARGEST_KEPT:
                    self._kept.put(question, (began, found))
        return [found] * len(sharers)
