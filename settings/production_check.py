"""What `flask check-production` looks at: a check of each part of a deployment, written where the part is known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcoming:
    """`text` says what is wrong, `mend` what to type or to set. One that does not fail is a warning."""

    text: str
    mend: str
    fails: bool = True


class CannotAsk(Exception):
    """The part does not answer, so nothing more can be found out about it, nor about what needs it."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.shortcoming = Shortcoming(text, mend)


@dataclass(frozen=True)
class ProductionCheck:
    """`right` is said when `find` gives nothing. `find` may raise CannotAsk.

    `needs` names the check without whose answer this one makes no sense.
    """

    name: str
    right: str
    find: Callable[[], Iterable[Shortcoming]]
    needs: str | None = None
