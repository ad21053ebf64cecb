"""Signed data that must be refused. Every forgery takes a payload that would be true if it were signed rightly."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.apple_server.certificate_chain import LEAF_MARKER, CertificateChain, CertifiedKey, Validity, issue
from sandbox.apple_server.signed_payloads import Payload
from sandbox.clock import Clock
from sandbox.store_clock import MILLISECOND, milliseconds

EXPIRED_SINCE = timedelta(days=30)
A_YEAR = timedelta(days=365)
FOREIGN_MARKER = "1.2.840.113635.100.6.99.1"


@dataclass(frozen=True)
class Forger:
    """`chain` is the genuine one. All but `backdated` are refused by Apple's library itself."""

    chain: CertificateChain
    clock: Clock

    @property
    def now(self) -> datetime:
        return self.clock()

    def all_of(self, payload: Payload) -> Mapping[str, str]:
        """Every forgery that a verifier must refuse, by name. `backdated` is not here: the library accepts it."""
        return {
            "foreign root": self.foreign_root(payload),
            "tampered payload": self.tampered_payload(payload),
            "wrong key": self.wrong_key(payload),
            "alg none": self.unsigned(payload),
            "HS256": self.keyed_hash(payload),
            "no certificates": self.no_certificates(payload),
            "two certificates": self.two_certificates(payload),
            "wrong leaf marker": self.wrong_leaf_marker(payload),
            "wrong intermediate marker": self.wrong_intermediate_marker(payload),
            "wrong bundle": self.wrong_bundle(payload),
            "Xcode": self.xcode(payload),
            "expired leaf": self.expired_leaf(payload),
        }

    def one(self, name: str, payload: Payload) -> str:
        """A forgery by its name, `backdated` and `forged inside` too. Raises KeyError, or TypeError when it does not fit."""
        if name == "backdated":
            return self.backdated(payload)
        if name == "forged inside":
            return self.forged_inside(payload)
        return self.all_of(payload)[name]

    def foreign_root(self, payload: Payload) -> str:
        """Right in every way, under a root that nobody trusts."""
        return CertificateChain.make(now=self.now).sign(payload)

    def tampered_payload(self, payload: Payload) -> str:
        """The signature of the payload as it was, around one that lasts a year longer."""
        header, _, signature = self.chain.sign(payload).split(".")
        expires_at = payload.get("expiresDate")
        later = (expires_at if isinstance(expires_at, int) else 0) + A_YEAR // MILLISECOND
        return ".".join((header, encode(dict(payload, expiresDate=later)), signature))

    def wrong_key(self, payload: Payload) -> str:
        """The genuine certificates, and a signature by a key of the forger's own."""
        key = ec.generate_private_key(ec.SECP256R1())
        return jwt.encode(dict(payload), key, algorithm="ES256", headers={"x5c": list(self.chain.x5c)})

    def unsigned(self, payload: Payload) -> str:
        """`alg: none` (RFC 7518, 3.6) with the genuine certificates."""
        return f"{encode({'alg': 'none', 'x5c': list(self.chain.x5c)})}.{encode(payload)}."

    def keyed_hash(self, payload: Payload) -> str:
        """HMAC under the leaf's public key, for verifiers that let the header choose the algorithm."""
        signing_input = f"{encode({'alg': 'HS256', 'x5c': list(self.chain.x5c)})}.{encode(payload)}"
        mac = hmac.digest(self.chain.leaf.public_pem, signing_input.encode(), hashlib.sha256)
        return f"{signing_input}.{to_base64url(mac)}"

    def no_certificates(self, payload: Payload) -> str:
        return jwt.encode(dict(payload), self.chain.leaf.key, algorithm="ES256")

    def two_certificates(self, payload: Payload) -> str:
        """The root left out, as TLS servers do. Apple's rule is exactly three."""
        headers = {"x5c": list(self.chain.x5c[:2])}
        return jwt.encode(dict(payload), self.chain.leaf.key, algorithm="ES256", headers=headers)

    def wrong_leaf_marker(self, payload: Payload) -> str:
        """A certificate that Apple's authority really issued, for another purpose."""
        return self._with_leaf(self._leaf(marker=FOREIGN_MARKER)).sign(payload)

    def wrong_intermediate_marker(self, payload: Payload) -> str:
        """An intermediate that the genuine root really signed, for another purpose."""
        validity = Validity.around(self.now)
        intermediate = issue("Another Authority", self.chain.root, validity, authority=True, marker=FOREIGN_MARKER)
        leaf = issue("Another Leaf", intermediate, validity)
        return CertificateChain(self.chain.root, intermediate, leaf).sign(payload)

    def wrong_bundle(self, payload: Payload) -> str:
        """Genuinely signed, for somebody else's app, where everything costs one cent."""
        other = "com.example.other"
        data = payload.get("data")
        inside = {"data": dict(data, bundleId=other)} if isinstance(data, dict) else {"bundleId": other}
        return self.chain.sign({**payload, **inside})

    def xcode(self, payload: Payload) -> str:
        """What anybody's Xcode signs: environment Xcode, one certificate, made by itself."""
        own = issue("StoreKit Testing in Xcode", None, Validity.around(self.now))
        data = payload.get("data")
        inside = {"data": dict(data, environment="Xcode")} if isinstance(data, dict) else {"environment": "Xcode"}
        headers = {"x5c": [base64.b64encode(own.der).decode()]}
        return jwt.encode({**payload, **inside}, own.key, algorithm="ES256", headers=headers)

    def expired_leaf(self, payload: Payload) -> str:
        """Signed now by a key whose certificate ended thirty days ago."""
        return self._expired_chain().sign(dict(payload, signedDate=milliseconds(self.now)))

    def backdated(self, payload: Payload) -> str:
        """The same expired key, lying about the date. Without online checks Apple's library accepts it: it judges the
        certificate at the payload's own `signedDate`. Only a limit on the age of what a client sends refuses it."""
        return self._expired_chain().sign(dict(payload, signedDate=milliseconds(self.now - 2 * EXPIRED_SINCE)))

    def forged_inside(self, notification: Payload) -> str:
        """A genuine notification around a transaction that the forger signed. The library does not look inside."""
        data = notification["data"]
        if not isinstance(data, dict):
            raise TypeError("This notification is about no transaction.")
        foreign = CertificateChain.make(now=self.now)
        inner = jwt.decode(data["signedTransactionInfo"], options={"verify_signature": False})
        return self.chain.sign(dict(notification, data=dict(data, signedTransactionInfo=foreign.sign(inner))))

    def _expired_chain(self) -> CertificateChain:
        ended = Validity(self.now - EXPIRED_SINCE - A_YEAR, self.now - EXPIRED_SINCE)
        return self._with_leaf(self._leaf(validity=ended))

    def _leaf(self, *, marker: str = LEAF_MARKER, validity: Validity | None = None) -> CertifiedKey:
        return issue("Another Leaf", self.chain.intermediate, validity or Validity.around(self.now), marker=marker)

    def _with_leaf(self, leaf: CertifiedKey) -> CertificateChain:
        return CertificateChain(self.chain.root, self.chain.intermediate, leaf)


def encode(part: Mapping[str, object]) -> str:
    return to_base64url(json.dumps(part).encode())


def to_base64url(data: bytes) -> str:
    """Without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
