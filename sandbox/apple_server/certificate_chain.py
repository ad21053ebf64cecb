"""A three-certificate chain like Apple's, made anew at every start, and the ES256 signatures that it makes.

Apple's library wants exactly three certificates in `x5c`, a marker extension in the leaf and another in the
intermediate, and, under OpenSSL's strict checks, key identifiers and key usages in all of them.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

LEAF_MARKER = "1.2.840.113635.100.6.11.1"
INTERMEDIATE_MARKER = "1.2.840.113635.100.6.2.1"
# A clock that was moved by years must still find the leaf valid: the library judges it at the payload's signedDate.
VALID_BEFORE_START = timedelta(days=2 * 365)
VALID_AFTER_START = timedelta(days=15 * 365)
DER_NULL = b"\x05\x00"


@dataclass(frozen=True)
class Validity:
    """When a certificate counts."""

    begins: datetime
    ends: datetime

    @classmethod
    def around(cls, moment: datetime) -> "Validity":
        return cls(moment - VALID_BEFORE_START, moment + VALID_AFTER_START)


@dataclass(frozen=True)
class CertifiedKey:
    """A certificate with its private key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class CertificateChain:
    """Root, intermediate and leaf; the leaf signs."""

    root: CertifiedKey
    intermediate: CertifiedKey
    leaf: CertifiedKey
    x5c: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        links = (self.leaf, self.intermediate, self.root)
        object.__setattr__(self, "x5c", tuple(b64encode(link.der).decode() for link in links))

    @classmethod
    def make(cls, *, now: datetime | None = None, ocsp_url: str | None = None) -> "CertificateChain":
        """`ocsp_url` is where a verifier with online checks asks whether the certificates were revoked."""
        validity = Validity.around(now or datetime.now(UTC))
        root = issue("Sandbox Root CA - G3", None, validity, authority=True)
        intermediate = issue(
            "Sandbox Worldwide Developer Relations CA",
            root,
            validity,
            authority=True,
            marker=INTERMEDIATE_MARKER,
            ocsp_url=ocsp_url,
        )
        leaf = issue("Sandbox App Store Receipt Signing", intermediate, validity, ocsp_url=ocsp_url)
        return cls(root, intermediate, leaf)

    def sign(self, payload: Mapping[str, object]) -> str:
        """A compact JWS (RFC 7515) whose header carries the whole chain, as StoreKit 2 sends it."""
        return jwt.encode(dict(payload), self.leaf.key, algorithm="ES256", headers={"x5c": list(self.x5c)})


def issue(
    name: str,
    issuer: CertifiedKey | None,
    validity: Validity,
    *,
    authority: bool = False,
    marker: str | None = LEAF_MARKER,
    ocsp_url: str | None = None,
) -> CertifiedKey:
    """A certificate with a new key. Without an issuer it signs itself and carries no marker."""
    key = ec.generate_private_key(ec.SECP384R1() if authority else ec.SECP256R1())
    subject = distinguished_name(name)
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begins)
        .not_valid_after(validity.ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(key_usage(authority), critical=True)
    )
    if issuer and marker:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(marker), DER_NULL)
        builder = builder.add_extension(extension, critical=False)
    if ocsp_url:
        place = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url))
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    digest = hashes.SHA384() if isinstance(signer.curve, ec.SECP384R1) else hashes.SHA256()
    return CertifiedKey(key, builder.sign(signer, digest))


def distinguished_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Not Apple Inc."),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )


def key_usage(authority: bool) -> x509.KeyUsage:
    """An authority signs certificates, a leaf signs data."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
