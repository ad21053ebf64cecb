"""An authenticator in software: real keys and real signatures, and every lie that a real one would not tell."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

USER_PRESENT, USER_VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class SoftwarePasskey:
    """One credential. It answers the options of a ceremony as a browser would, unless told to differ."""

    origin: str = "https://api.example.com"
    rp_id: str = "api.example.com"
    count: int = 0
    counts: bool = True
    verified: bool = True
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""

    def create(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """The answer to `navigator.credentials.create()`."""
        self.user_handle = decoded(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        public_key = cbor2.dumps({1: 2, 3: -7, -1: 1, **point})
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public_key
        statement = {"fmt": "none", "attStmt": {}, "authData": self._data(ATTESTED) + attested}
        response = {
            "clientDataJSON": encoded(self._client_data("webauthn.create", options, **client)),
            "attestationObject": encoded(cbor2.dumps(statement)),
            "transports": ["internal", "hybrid", "carrier-pigeon"],
            "publicKeyAlgorithm": -7,
        }
        return self._credential(response)

    def get(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """The answer to `navigator.credentials.get()`."""
        if self.counts:
            self.count += 1
        client_data, data = self._client_data("webauthn.get", options, **client), self._data()
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ECDSA(SHA256()))
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": encoded(self.user_handle),
        }
        return self._credential(response)

    def _client_data(self, kind: str, options: dict[str, Any], **client: Any) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps({**said, **client}).encode()

    def _data(self, more: int = 0) -> bytes:
        flags = USER_PRESENT | BACKUP_ELIGIBLE | BACKED_UP | (USER_VERIFIED if self.verified else 0) | more
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": encoded(self.credential_id),
            "rawId": encoded(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }
