"""Answers that a client need not fetch again while they are the same (RFC 9110, 13.1.2)."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from flask import request

from security.api.operation import Answer

LIFETIME_SECONDS: Final = 15
CONDITIONAL_HEADERS: Final = {
    "ETag": "Send it as `If-None-Match`: while the answer is the same, you get 304 without a body.",
    "Cache-Control": f"`public, max-age={LIFETIME_SECONDS}`. Answers to admins are not to be stored.",
}


@dataclass(frozen=True)
class Tagged:
    """JSON and its entity tag. `version`: what tells cheaply whether it is still the same, where something does."""

    body: bytes
    etag: str
    version: str | None = None

    @classmethod
    def of(cls, body: bytes, version: str | None = None) -> Self:
        return cls(body, f'"{blake2b(body, digest_size=12).hexdigest()}"', version)

    def answer(self) -> Answer:
        """To the present request."""
        headers = {
            "ETag": self.etag,
            "Cache-Control": f"public, max-age={LIFETIME_SECONDS}",
            "Vary": "Authorization",  # admins see more
        }
        known = request.environ.get("HTTP_IF_NONE_MATCH")
        if known is not None and (known == self.etag or self._is_among(known)):
            return Answer(304, headers=headers)
        return Answer(200, self.body, headers)

    def _is_among(self, known: str) -> bool:
        """Proxies that compress make a tag weak."""
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        return self.etag in tags or "*" in tags
