"""Which pages may open a socket. Browsers let every page connect to every server, and only tell it which page it was."""

from collections.abc import Collection

from security.edge.origin import origin_of
from security.edge.problems import Problem


class OriginNotAllowed(Problem):
    status, error, title = 403, "origin_not_allowed", "Pages of this origin cannot open sockets here"

    def __init__(
        self, detail: str = "This page's origin is not allowed here. Operators: add it to CORS_ORIGINS"
    ) -> None:
        super().__init__(detail)


class Origins:
    """`own`: addresses of ours. `others`: origins of pages that may call this API."""

    def __init__(self, own: Collection[str], others: Collection[str]) -> None:
        self._accepted = {origin_of(address) for address in own} | set(others)

    def check(self, origin: str | None) -> None:
        """None for a client that is no page: each needs a token anyway. Raises OriginNotAllowed."""
        if origin is not None and (origin_of(origin) or origin) not in self._accepted:
            raise OriginNotAllowed
