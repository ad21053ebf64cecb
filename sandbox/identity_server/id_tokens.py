"""ID tokens (OpenID Connect Core 1.0, 2) with a real signature, and the public key to check it with."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from sandbox.clock import Clock

LIVES = timedelta(minutes=10)


@dataclass(frozen=True)
class IdTokens:
    issuer: str
    clock: Clock
    key_id: str = field(default_factory=lambda: secrets.token_hex(5))

    @property
    def key(self) -> RSAPrivateKey:
        return key_of(self.issuer)

    def sign(self, client_id: str, subject: str, **claims: Any) -> str:
        now = self.clock()
        standard = {"iss": self.issuer, "aud": client_id, "sub": subject, "iat": now, "exp": now + LIVES}
        return jwt.encode({**standard, **claims}, self.key, "RS256", {"kid": self.key_id})

    @property
    def jwks(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "alg": "RS256", "use": "sig"}]}


@cache
def key_of(issuer: str) -> RSAPrivateKey:
    """The same for every stand-in of a process, because making one takes a tenth of a second."""
    return generate_private_key(65537, 2048)


def number_of(email: str) -> int:
    """The same for the same address at every start, so that a person comes back to their account."""
    return int.from_bytes(hashlib.sha256(email.lower().encode()).digest()[:16], "big")
