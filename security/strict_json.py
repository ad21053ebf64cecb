"""The one reader of request bodies."""

from flask import request

from security.problems import BodyTooLarge, UnsupportedMediaType


def read_json(*, limit: int) -> bytes:
    """The body's bytes, proved to be one acceptable JSON document of at most `limit` bytes."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    body = request.stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge
    return body
