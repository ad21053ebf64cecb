"""Who calls the App Store Server API: an ES256 token signed with the app's In-App Purchase key.

Rules: developer.apple.com/documentation/appstoreserverapi/generating-json-web-tokens-for-api-requests
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from sandbox.apple_server.sold_app import App, ServerApiKey

AUDIENCE = "appstoreconnect-v1"
LONGEST_LIFE = timedelta(minutes=60)


class Unauthenticated(Exception):
    """The token is missing, foreign, expired, made to live too long, or for another app."""


@dataclass(frozen=True)
class BearerTokenCheck:
    app: App
    key: ServerApiKey

    def check(self, authorization: str) -> None:
        """Judged by the real clock, as callers make their tokens with it. Raises Unauthenticated."""
        scheme, _, token = authorization.partition(" ")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            claims = jwt.decode(
                token,
                self.key.public_pem,
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=self.key.issuer_id,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as refused:
            raise Unauthenticated from refused
        lives_too_long = claims["exp"] > (datetime.now(UTC) + LONGEST_LIFE).timestamp()
        wrong_app = claims.get("bid") != self.app.bundle_id
        if scheme != "Bearer" or key_id != self.key.key_id or wrong_app or lives_too_long:
            raise Unauthenticated
