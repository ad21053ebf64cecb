"""The JSON bodies of second factors and passkeys."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from auth.bodies import DeviceToken, Name, NewSession, SixDigits
from auth.second_factor.challenge import LONGEST_TOKEN
from auth.tokens.typed_code import LONGEST_TYPED
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody, Body, OneOfBody
from security.base64url import CANONICAL

TypedCode = Annotated[str, Field(max_length=LONGEST_TYPED, examples=["7K2QD-X9M4T"])]
Base64Url = Annotated[str, Field(pattern=CANONICAL, min_length=2, max_length=16_384)]
"""Binary data without padding (RFC 4648, 5)."""


class FromBrowser(BaseModel):
    """Base of what a browser writes: members that we do not read, and those that its next version adds, are ignored.

    The OpenAPI document names those that are read, and promises nothing for others. Values are never coerced.
    """

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_extra={"additionalProperties": False},
    )


class SignedRegistration(FromBrowser):
    client_data_json: Base64Url = Field(alias="clientDataJSON")
    attestation_object: Base64Url = Field(alias="attestationObject")
    transports: list[Annotated[str, Field(max_length=32)]] | None = Field(default=None, max_length=16)


class RegistrationCredential(FromBrowser):
    """`PublicKeyCredential.toJSON()` after `navigator.credentials.create()`."""

    id: Base64Url
    raw_id: Base64Url = Field(alias="rawId")
    type: Literal["public-key"]
    response: SignedRegistration


class SignedAssertion(FromBrowser):
    client_data_json: Base64Url = Field(alias="clientDataJSON")
    authenticator_data: Base64Url = Field(alias="authenticatorData")
    signature: Base64Url
    user_handle: Base64Url | None = Field(default=None, alias="userHandle")


class AssertionCredential(FromBrowser):
    """`PublicKeyCredential.toJSON()` after `navigator.credentials.get()`."""

    id: Base64Url
    raw_id: Base64Url = Field(alias="rawId")
    type: Literal["public-key"]
    response: SignedAssertion


ChallengeToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]
PROOFS = {"totp_code", "recovery_code", "passkey"}


def _proof_of(document: Any) -> str | None:
    """The one proof that is given, which is the tag of its form; None for several or none."""
    given = PROOFS & document.keys() if isinstance(document, dict) else set()
    return given.pop() if len(given) == 1 else None


ONE_PROOF = Discriminator(
    _proof_of,
    custom_error_type="one_of",
    custom_error_message="Send exactly one of totp_code, recovery_code and passkey",
)


class ByTotpCode(Body):
    totp_code: SixDigits


class ByRecoveryCode(Body):
    recovery_code: TypedCode


class ByPasskey(Body):
    passkey: AssertionCredential


class ProofBody(
    OneOfBody[
        Annotated[
            Annotated[ByTotpCode, Tag("totp_code")]
            | Annotated[ByRecoveryCode, Tag("recovery_code")]
            | Annotated[ByPasskey, Tag("passkey")],
            ONE_PROOF,
        ]
    ]
):
    """Send a code from the authenticator app, a recovery code or a passkey."""


class FinishSignIn(NewSession):
    challenge: ChallengeToken
    """The `challenge` of the `mfa_required` response."""


class FinishByTotpCode(ByTotpCode, FinishSignIn):
    pass


class FinishByRecoveryCode(ByRecoveryCode, FinishSignIn):
    pass


class FinishByPasskey(ByPasskey, FinishSignIn):
    pass


class FinishSignInBody(
    OneOfBody[
        Annotated[
            Annotated[FinishByTotpCode, Tag("totp_code")]
            | Annotated[FinishByRecoveryCode, Tag("recovery_code")]
            | Annotated[FinishByPasskey, Tag("passkey")],
            ONE_PROOF,
        ]
    ]
):
    """Send the `challenge` with a code from the authenticator app, a recovery code or a passkey."""


class WaitingSignInBody(Body):
    challenge: ChallengeToken


class CodeBody(Body):
    code: SixDigits


class RegisterPasskeyBody(Body):
    name: Name
    credential: RegistrationCredential


class RenamePasskeyBody(Body):
    name: Name


class PasskeySignInBody(NewSession):
    credential: AssertionCredential
    remember_me: bool = False
    device_token: DeviceToken | None = None


class FactorsAnswer(AnswerBody):
    enabled: bool = Field(validation_alias="on")
    """Whether signing in needs a second factor."""
    totp: bool
    passkeys: int
    recovery_codes_left: int


class TotpSetupAnswer(AnswerBody):
    secret: str
    """The secret in Base32, to enter by hand."""
    otpauth_uri: str
    qr_svg: str
    """The URI as a QR code: an `<svg>` element without script or style."""


class RecoveryCodesAnswer(AnswerBody):
    recovery_codes: list[str]
    """Store them now: we do not show them again."""


class FactorAddedAnswer(AnswerBody):
    recovery_codes: list[str] | None
    """Only with the first second factor of the account, otherwise null. Store them now: we do not show them again."""


class OptionsAnswer(AnswerBody):
    options: dict[str, Any]
    """Pass them to `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()`."""


class PasskeyAnswer(AnswerBody):
    id: UUID
    name: str
    synchronised: bool = Field(validation_alias="backed_up")
    """Whether it is backed up in a cloud account and survives the loss of the device."""
    transports: list[str]
    created_at: datetime
    last_used_at: datetime | None


class PasskeyAddedAnswer(FactorAddedAnswer):
    passkey: PasskeyAnswer


class PasskeysAnswer(ListAnswer):
    passkeys: list[PasskeyAnswer]


class AccessTokenAnswer(AnswerBody):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds until the access token expires."""


def document_of(credential: RegistrationCredential | AssertionCredential) -> dict[str, Any]:
    """The credential as the browser wrote it."""
    return credential.model_dump(by_alias=True, exclude_none=True)
