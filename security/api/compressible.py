"""Texts that are the same for everybody and worth compressing: the OpenAPI document and the scripts of its pages."""

import gzip
from functools import cached_property
from hashlib import sha256

from flask import Request, Response


class Compressible:
    """Compressed once, when the first client accepts it. Answers say nothing secret, so their length may be seen (BREACH)."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self._content = content
        self._content_type = content_type

    def answer(self, request: Request) -> Response:
        compressed = bool(request.accept_encodings["gzip"])
        response = Response(self._compressed if compressed else self._content, content_type=self._content_type)
        response.headers["Vary"] = "Accept-Encoding"
        if compressed:
            response.headers["Content-Encoding"] = "gzip"
        response.add_etag()
        response.make_conditional(request.environ)
        return response

    @cached_property
    def version(self) -> str:
        return sha256(self._content).hexdigest()[:16]

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self._content, mtime=0)
