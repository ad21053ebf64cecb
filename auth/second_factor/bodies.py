"""The JSON of second factors and passkeys."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from auth.bodies import LEFT_OUT, DeviceToken, NewSession, SixDigits
from auth.second_factor.ask_second_factor import LONGEST_TOKEN
from auth.second_factor.passkeys import ShownPasskey
from auth.second_factor.prove import Proof, SignedChallenge, TotpCode, TypedRecoveryCode
from auth.typed_code import LONGEST_TYPED
from security.base64url import CANONICAL
from security.operation import AnswerBody, Body
from security.typed_text import ONE_LINE, trims

LONGEST_NAME = 64


TypedCode = Annotated[str, Field(max_length=LONGEST_TYPED, examples=["7K2QD-X9M4T"])]
PasskeyName = Annotated[
    str, Field(max_length=LONGEST_NAME, pattern=ONE_LINE, examples=["Alice's phone"]), trims(LONGEST_NAME)
]
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


PROOFS = ("totp_code", "recovery_code", "passkey")


class ProofBody(Body):
    """Exactly one of the three proofs."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in PROOFS]})

    totp_code: SixDigits | SkipJsonSchema[None] = LEFT_OUT
    recovery_code: TypedCode | SkipJsonSchema[None] = LEFT_OUT
    passkey: AssertionCredential | SkipJsonSchema[None] = LEFT_OUT

    @model_validator(mode="after")
    def one_of_them(self) -> "ProofBody":
        if sum(given is not None for given in (self.totp_code, self.recovery_code, self.passkey)) != 1:
            raise ValueError("exactly one of totp_code, recovery_code and passkey must be given")
        return self

    @property
    def proof(self) -> Proof:
        if self.totp_code is not None:
            return TotpCode(self.totp_code)
        if self.recovery_code is not None:
            return TypedRecoveryCode(self.recovery_code)
        assert self.passkey is not None
        return SignedChallenge(document_of(self.passkey))


ChallengeToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]


class FinishSignInBody(ProofBody, NewSession):
    challenge: ChallengeToken
    """From the `mfa_required` answer."""


class WaitingSignInBody(Body):
    challenge: ChallengeToken


class CodeBody(Body):
    code: SixDigits


class RegisterPasskeyBody(Body):
    name: PasskeyName
    credential: RegistrationCredential


class RenamePasskeyBody(Body):
    name: PasskeyName


class PasskeySignInBody(NewSession):
    credential: AssertionCredential
    remember_me: bool = False
    device_token: DeviceToken | None = None


class FactorsAnswer(AnswerBody):
    enabled: bool
    """Whether signing in asks for a second factor."""
    totp: bool
    passkeys: int
    recovery_codes_left: int


class TotpSetupAnswer(AnswerBody):
    secret: str
    """In base 32, for typing."""
    otpauth_uri: str
    qr_svg: str
    """The URI as a picture: an `<svg>` element without script or style."""


class RecoveryCodesAnswer(AnswerBody):
    recovery_codes: list[str]
    """Shown this once."""


class FactorAddedAnswer(AnswerBody):
    recovery_codes: list[str] | None
    """Shown this once, with the account's first factor; null when it had one already and keeps its codes."""


class OptionsAnswer(AnswerBody):
    options: dict[str, Any]
    """For `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()`."""


class PasskeyAnswer(AnswerBody):
    id: UUID
    name: str
    synchronised: bool
    """Whether it is backed up in a cloud account, so that it outlives the device."""
    transports: list[str]
    created_at: datetime
    last_used_at: datetime | None


class PasskeyAddedAnswer(FactorAddedAnswer):
    passkey: PasskeyAnswer


class PasskeysAnswer(AnswerBody):
    passkeys: list[PasskeyAnswer]


class AccessTokenAnswer(AnswerBody):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds that the access token lives."""


def document_of(credential: RegistrationCredential | AssertionCredential) -> dict[str, Any]:
    """The credential as the browser wrote it."""
    return credential.model_dump(by_alias=True, exclude_none=True)


def passkey_answer(passkey: ShownPasskey) -> PasskeyAnswer:
    return PasskeyAnswer(
        id=passkey.id,
        name=passkey.name,
        synchronised=passkey.synchronised,
        transports=passkey.transports,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )
