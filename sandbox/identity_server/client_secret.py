"""Who calls Apple's token endpoints: an ES256 token signed with the developer's Sign in with Apple key.

Rules: developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
"""

from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from sandbox.clock import Clock

AUDIENCE = "https://appleid.apple.com"
LONGEST_LIFE_SECONDS = 15_777_000


class ClientRefused(Exception):
    """The client secret is missing, foreign, expired, made to live too long, or for another app."""


@dataclass(frozen=True)
class ClientSecretCheck:
    client_id: str
    team_id: str
    key_id: str
    public_key: EllipticCurvePublicKey = field(repr=False)
    clock: Clock

    def check(self, client_id: str, client_secret: str) -> str:
        """The app that calls. Raises ClientRefused."""
        try:
            key_id = jwt.get_unverified_header(client_secret).get("kid")
            claims = jwt.decode(
                client_secret,
                self.public_key,
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=self.team_id,
                options={"require": ["iss", "iat", "exp", "aud", "sub"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError as refused:
            raise ClientRefused from refused
        now = self.clock().timestamp()
        in_time = claims["iat"] - 60 <= now < claims["exp"] <= now + LONGEST_LIFE_SECONDS
        if key_id != self.key_id or claims["sub"] != client_id or client_id != self.client_id or not in_time:
            raise ClientRefused
        return client_id
