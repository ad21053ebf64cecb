"""The app that is sold, and the key that its server signs in with."""

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class Environment(StrEnum):
    PRODUCTION = "Production"
    SANDBOX = "Sandbox"


@dataclass(frozen=True)
class App:
    """`shared_secret` is the password of verifyReceipt."""

    bundle_id: str = "com.mirroros.app"
    app_apple_id: int = 6_450_000_001
    shared_secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)


@dataclass(frozen=True)
class ServerApiKey:
    """An In-App Purchase key of App Store Connect: ten characters of id, an issuer, and a .p8 file (PKCS #8 in PEM)."""

    private_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )
    key_id: str = field(default_factory=lambda: secrets.token_hex(5).upper())
    issuer_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def p8(self) -> bytes:
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_pem(self) -> bytes:
        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
