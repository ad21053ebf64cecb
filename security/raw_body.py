"""The body of a request as it came, for whoever checks a signature over it."""

from flask import request

from security.api.strict_json import read_whole_body


def raw_body(*, limit: int) -> bytes:
    """At most `limit` bytes. Raises BodyTooLarge, MalformedRequest (the body did not arrive whole)."""
    return read_whole_body(request.environ, limit)
