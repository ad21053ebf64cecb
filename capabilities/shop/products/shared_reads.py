"""What many ask for at the same moment is read once for all of them."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from auth.bounded_cache import BoundedCache
from database.shared_trips import SharedTrips, TripNotCompleted
from security.edge.problems import DependencyUnavailable

Question = TypeVar("Question", bound=Hashable)
Found = TypeVar("Found")

MOST_SHARERS: Final = 1_000
LONGEST_WAIT_SECONDS: Final = 15.0
"""For a connection and for the statement, and before that for those of the reading that is under way."""
MOST_QUESTIONS: Final = 256


class SharedReads(Generic[Question, Found]):
    """`read` begins after everybody who shares in it has asked, so nobody is told less than what was committed by then. Nothing is
    kept. Different questions do not wait for each other.
    """

    def __init__(self, read: Callable[[Question], Found]) -> None:
        self._read = read
        self._trips: BoundedCache[Question, SharedTrips[None, Found]] = BoundedCache(MOST_QUESTIONS)

    def __call__(self, question: Question) -> Found:
        """Raises what `read` raises, and DependencyUnavailable."""
        trips = self._trips.get(question)
        if trips is None:  # of two who are the first at once, each reads
            trips = SharedTrips(partial(self._carry, question), MOST_SHARERS)
            self._trips.put(question, trips)
        try:
            return trips.submit(None, LONGEST_WAIT_SECONDS)
        except TripNotCompleted:
            raise DependencyUnavailable from None

    def _carry(self, question: Question, sharers: Sequence[None]) -> Sequence[Found | Exception]:
        found: Found | Exception
        try:
            found = self._read(question)
        except Exception as error:
            found = error
        return [found] * len(sharers)
