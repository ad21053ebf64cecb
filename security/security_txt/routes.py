"""`GET /.well-known/security.txt` (RFC 9116): whom to tell of a vulnerability."""

from datetime import timedelta
from typing import Final

from flask import Blueprint

from database.base import Clock, utc_now
from security.api.answers import StaticFile
from security.api.compressible import Compressible
from security.api.operation import Answer, Anyone, operation

PATH: Final = "/.well-known/security.txt"
VALID_FOR: Final = timedelta(days=180)
"""RFC 9116, 2.5.5 recommends less than a year. A running server always has half a year ahead of it."""
CACHE_SECONDS: Final = 86400


def security_txt_routes(contact: str, *, base_url: str, clock: Clock = utc_now) -> Blueprint:
    """`contact` is an address that begins with `mailto:` or `https:`."""
    routes = Blueprint("security_txt", __name__)

    @operation(
        routes,
        "GET",
        PATH,
        operation_id="getSecurityContact",
        summary="Find out whom to tell of a vulnerability",
        guard=Anyone("whoever finds a vulnerability may have no account"),
        answers={200: StaticFile("text/plain")},
    )
    def read_security_txt() -> Answer:
        """For people and scanners (RFC 9116)."""
        expires = clock().replace(hour=0, minute=0, second=0, microsecond=0) + VALID_FOR
        lines = (
            f"Contact: {contact}",
            f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
            f"Canonical: {base_url}{PATH}",
            "Preferred-Languages: en",
        )
        text = Compressible("".join(f"{line}\n" for line in lines).encode(), "text/plain; charset=utf-8")
        return Answer(200, text, {"Cache-Control": f"public, max-age={CACHE_SECONDS}"})

    return routes
