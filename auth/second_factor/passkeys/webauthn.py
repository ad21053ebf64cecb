"""The cryptography of passkeys (W3C Web Authentication, 7.1 and 7.2): what a browser is asked, and whether its answer is good.

Nothing here knows the database. Attestation is not asked for: which make of authenticator somebody uses decides nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

CHALLENGE_BYTES = 32
TIMEOUT_MS = 300_000
PRODUCT = "MirrorOS"
LONGEST_CREDENTIAL_ID_BYTES = 1023  # W3C Web Authentication, 7.1, step 25
BACKUP_ELIGIBLE = CredentialDeviceType.MULTI_DEVICE
"""The library's name for what the specification calls so (W3C Web Authentication, 6.1.3)."""
TRANSPORTS = frozenset(transport.value for transport in AuthenticatorTransport)

Credential = Mapping[str, Any]
"""A PublicKeyCredential as its `toJSON()` writes it (W3C Web Authentication, 5.1.8)."""
KnownCredentials = Sequence[PublicKeyCredentialDescriptor]


class CeremonyRefused(Exception):
    """The answer is not what was asked for, or not signed by the key that it names."""


@dataclass(frozen=True)
class PasskeySite:
    """Whom a passkey is made for: a domain, and the origins that may use it (W3C Web Authentication, 5.1.3 and 13.4.9).

    An origin is `https://host`, or `android:apk-key-hash:…` for an Android app. An app on iOS says `https://` and the domain.
    """

    rp_id: str
    origins: frozenset[str]

    @classmethod
    def of(cls, base_url: str) -> "PasskeySite":
        return cls(urlsplit(base_url).hostname or "localhost", frozenset({base_url}))


def new_challenge() -> bytes:
    return secrets.token_bytes(CHALLENGE_BYTES)


def registration_options(
    site: PasskeySite, challenge: bytes, *, user_handle: bytes, email: str, known: KnownCredentials
) -> dict[str, Any]:
    """For `navigator.credentials.create()`. The credential is discoverable and verifies its user: it is both factors at once."""
    options = generate_registration_options(
        rp_id=site.rp_id,
        rp_name=PRODUCT,
        user_id=user_handle,
        user_name=email,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=list(known),
    )
    return options_to_json_dict(options)


def assertion_options(
    site: PasskeySite, challenge: bytes, *, known: KnownCredentials = (), verify_user: bool
) -> dict[str, Any]:
    """For `navigator.credentials.get()`. With none known, the browser offers every passkey that it has for the domain."""
    options = generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=list(known),
        user_verification=(
            UserVerificationRequirement.REQUIRED if verify_user else UserVerificationRequirement.PREFERRED
        ),
    )
    return options_to_json_dict(options)


def challenge_in(credential: Credential) -> bytes:
    """The challenge that an answer says it is for. Raises CeremonyRefused.

    An answer from within another site's frame is refused: nobody should sign in to us without seeing our address.
    """
    try:
        client_data = parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"]))
    except Exception as error:  # JSON and base64 of a stranger, read by a library that names no errors
        raise CeremonyRefused from error
    if client_data.cross_origin:
        raise CeremonyRefused
    return client_data.challenge


def credential_id_of(credential: Credential) -> bytes:
    """Raises CeremonyRefused."""
    return _decoded(credential["rawId"])


def user_handle_of(credential: Credential) -> bytes:
    """What the passkey itself says of whom it belongs to; empty when it says nothing. Raises CeremonyRefused."""
    return _decoded(credential["response"].get("userHandle") or "")


def verify_registration(site: PasskeySite, challenge: bytes, credential: Credential) -> VerifiedRegistration:
    """Raises CeremonyRefused."""
    try:
        made = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=sorted(site.origins),
            require_user_verification=True,
        )
    except Exception as error:  # CBOR, COSE and ASN.1 of a stranger: more kinds of errors than the library names
        raise CeremonyRefused from error
    if len(made.credential_id) > LONGEST_CREDENTIAL_ID_BYTES:
        raise CeremonyRefused
    return made


def verify_assertion(
    site: PasskeySite, challenge: bytes, credential: Credential, *, public_key: bytes, verify_user: bool
) -> VerifiedAuthentication:
    """Raises CeremonyRefused. The caller compares the sign count, which is worth nothing before the signature is checked."""
    try:
        return verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=sorted(site.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=verify_user,
        )
    except Exception as error:  # as above
        raise CeremonyRefused from error


def known_transports(transports: Sequence[str] | None) -> list[str]:
    """What a browser says of how it reaches the authenticator, without what no specification knows, each once."""
    return sorted(TRANSPORTS.intersection(transports or ()))


def _decoded(text: str) -> bytes:
    try:
        return base64url_to_bytes(text)
    except ValueError as error:
        raise CeremonyRefused from error


def descriptor(credential_id: bytes, transports: Sequence[str]) -> PublicKeyCredentialDescriptor:
    """What a browser is told of a credential: to use it, or not to make a second one in the same place."""
    known = [AuthenticatorTransport(name) for name in transports]
    return PublicKeyCredentialDescriptor(id=credential_id, transports=known or None)
