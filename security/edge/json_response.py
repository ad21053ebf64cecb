"""Answers whose body is JSON of known length, or nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Response


class JsonResponse(Response):
    """Its headers are put down once, when the server asks for them: Werkzeug would set each one by itself, copy all of them
    and look through the copy twice.
    """

    default_mimetype = None

    def __init__(
        self, content: bytes | None, status: int, own_headers: Mapping[str, str], media_type: str = "application/json"
    ) -> None:
        if content is None:
            super().__init__((), status)
        else:  # without its type here, Werkzeug looks for one and makes an exception of not finding it
            super().__init__((content,), status, content_type=media_type)
        self._own_headers = own_headers

    def calculate_content_length(self) -> int:
        return sum(map(len, self.response))

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        headers = [*self.headers.to_wsgi_list(), *self._own_headers.items()]
        body: tuple[bytes, ...] = self.response  # type: ignore[assignment] # as __init__ gave it
        if body:
            headers.append(("Content-Length", str(len(body[0]))))
        return () if environ["REQUEST_METHOD"] == "HEAD" else body, self.status, headers
