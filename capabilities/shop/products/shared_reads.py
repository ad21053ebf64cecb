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
RENEWED_AFTER_SECONDS: Final = 0.0025
"""Who asks then reads anew, and the others are told what there is until the moment ends. If they all waited for each reading,
their threads would be put to sleep and woken again, which costs more than the reading.
"""
MOST_SHARERS: Final = 1_000
LONGEST_WAIT_SECONDS: Final = 15.0
"""For a connection and for the statement, and before that for those of the reading that is under way."""
MOST_QUESTIONS: Final = 64
LARGEST_KEPT: Final = 256 * 1024
"""Bytes. A list of long descriptions is read again, so that what is kept stays below 16 MiB."""


class SharedReads(Generic[Question]):
    """Different questions do not wait for each other. `read` gets what it read last, or None."""

    def __init__(
        self,
        read: Callable[[Question, Tagged | None], Tagged],
        same_moment: float = SAME_MOMENT_SECONDS,
        renewed_after: float = RENEWED_AFTER_SECONDS,
    ) -> None:
        self._read = read
        self._same_moment = same_moment
        self._renewed_after = renewed_after
        self._trips: BoundedCache[Question, SharedTrips[None, Tagged]] = BoundedCache(MOST_QUESTIONS)
        self._kept: BoundedCache[Question, tuple[float, Tagged]] = BoundedCache(MOST_QUESTIONS)
        """With the moment at which its reading began."""

    def __call__(self, question: Question) -> Tagged:
        """Raises what `read` raises, and DependencyUnavailable."""
        trips = self._trips.get(question)
        is_renewed = trips is not None and trips.under_way
        found = self._kept_for(question, self._same_moment if is_renewed else self._renewed_after)
        if found is not None:
            return found
        if trips is None:  # of two who are the first at once, each reads
            trips = SharedTrips(partial(self._carry, question), MOST_SHARERS)
            self._trips.put(question, trips)
        try:
            return trips.submit(None, LONGEST_WAIT_SECONDS)
        except TripNotCompleted:
            raise DependencyUnavailable from None

    def _kept_for(self, question: Question, seconds: float) -> Tagged | None:
        kept = self._kept.get(question)
        return kept[1] if kept is not None and monotonic() - kept[0] < seconds else None

    def _carry(self, question: Question, sharers: Sequence[None]) -> Sequence[Tagged | Exception]:
        found: Tagged | Exception | None = self._kept_for(question, self._renewed_after)
        if found is None:
            kept, began = self._kept.get(question), monotonic()
            try:
                found = self._read(question, None if kept is None else kept[1])
            except Exception as error:
                found = error
            else:
                if len(found.body) <= LARGEST_KEPT:
                    self._kept.put(question, (began, found))
        return [found] * len(sharers)
