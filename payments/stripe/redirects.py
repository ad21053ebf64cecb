"""Where Stripe's pages may lead back to: addresses of our own apps alone, compared by their whole origin."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from security.edge.origin import origin_of
from security.edge.problems import ValidationFailed

LONGEST = 2000
RETURN_PAGES = "/billing"


@dataclass(frozen=True)
class Redirects:
    """`home` is where it leads when the client names no address: an app, or with `own_pages` this API, which has a page for
    each outcome (see return_pages.py). `origins`: what clients may name, besides the origin of `home`.
    """

    home: str
    origins: frozenset[str] = frozenset()
    own_pages: bool = False

    def checked(self, address: str | None, field: str) -> str | None:
        """The address itself. Raises ValidationFailed for one that is not ours."""
        if address is not None and origin_of(address) not in self.origins | {origin_of(self.home)}:
            message = "must begin with an origin that the server trusts"
            raise ValidationFailed([{"pointer": f"/{field}", "code": "redirect_not_allowed", "message": message}])
        return address

    def back(self, page: str, **what: str) -> str:
        """`home`, or our own page of this name there, with a few words on what happened."""
        parts = urlsplit(f"{self.home.rstrip('/')}{RETURN_PAGES}/{page}" if self.own_pages else self.home)
        # Stripe replaces {CHECKOUT_SESSION_ID}; encoded braces would not be recognised.
        query = "&".join(each for each in (parts.query, urlencode(what, safe="{}")) if each)
        return urlunsplit(parts._replace(path=parts.path or "/", query=query))
