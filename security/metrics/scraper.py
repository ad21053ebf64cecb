"""Who may read the metrics: whoever has the token. To everybody else there is nothing here."""

import hmac
from dataclasses import dataclass, field

from flask import request
from werkzeug.exceptions import NotFound

from security.edge.problems import Problem


def has_token(authorization: str, token: str) -> bool:
    """`authorization`: the header as WSGI gives it. The time that it takes says nothing about the token."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode("latin-1", "replace"), token.encode())


@dataclass(frozen=True)
class Scraper:
    """Guard. Its refusal is the ordinary answer for an address that does not exist."""

    token: str = field(repr=False)
    because: str = "a scraper shows METRICS_TOKEN, and everybody else is told that there is nothing here"
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = ()

    def admit(self) -> None:
        if not has_token(request.environ.get("HTTP_AUTHORIZATION", ""), self.token):
            raise NotFound
