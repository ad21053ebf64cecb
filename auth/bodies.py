"""The JSON that the routes of accounts take and give."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from auth.email_address import MAXIMUM_LENGTH, parse_email
from auth.password_hashing.bcrypt_hash import MAXIMUM_CHARACTERS
from auth.principal import Principal
from auth.read_profile import Profile
from auth.sessions.cookies import TokenDelivery
from auth.sessions.known_devices import LONGEST_TOKEN as LONGEST_DEVICE_TOKEN
from auth.sessions.open import SignedInUser
from auth.sessions.token_pair import TokenPair
from auth.tiers import Tier
from auth.tokens.refresh_token import LONGEST_TOKEN
from auth.tokens.typed_code import LONGEST_TYPED
from security.api.operation import AnswerBody, Body
from security.api.typed_text import DIGITS, ONE_LINE, trims


def is_none(value: object) -> bool:
    return value is None


def acceptable_address(text: str) -> str:
    parse_email(text)
    return text


Email = Annotated[
    str,
    Field(max_length=MAXIMUM_LENGTH, json_schema_extra={"format": "email"}, examples=["alice@example.com"]),
    AfterValidator(acceptable_address),
    trims(MAXIMUM_LENGTH),
]
Password = Annotated[
    str,
    Field(max_length=MAXIMUM_CHARACTERS, json_schema_extra={"format": "password"}, examples=["tulip-9-orbit-canoe"]),
]
DeviceToken = Annotated[str, Field(max_length=LONGEST_DEVICE_TOKEN)]
InviteCode = Annotated[str, Field(max_length=LONGEST_TYPED, examples=["7KQ2M-X40DR"])]
RefreshToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]

SixDigits = Annotated[
    str,
    Field(
        pattern="^[0-9]{6}$",
        json_schema_extra={"pattern": r"^([\s-]*[0-9]){6}[\s-]*$"},
        examples=["492039"],
        description="Blanks and hyphens around and between the digits do not matter.",
    ),
    DIGITS,
]
"""Of an authenticator app or an e-mail."""
DeviceName = Annotated[str, Field(max_length=64, pattern=ONE_LINE, examples=["Alice's phone"]), trims(64)]


class NewSession(Body):
    """What every way to sign in lets the client say about the session it opens.

    `token_delivery`: `cookie` is for web apps, see docs/accounts.md.
    """

    device_name: DeviceName | None = None
    token_delivery: TokenDelivery = "body"  # noqa: S105


class RegisterBody(NewSession):
    email: Email
    password: Password
    invite_code: InviteCode | None = None
    """Needed where accounts are made by invitation, else not looked at. Case, spaces and hyphens do not matter."""


class SignInBody(NewSession):
    email: Email
    password: Password
    remember_me: bool = False
    device_token: DeviceToken | None = None


class RefreshBody(Body):
    refresh_token: RefreshToken | None = None
    """Without it, that of the cookie counts."""


class SignOutBody(Body):
    refresh_token: RefreshToken | None = None


class UserAnswer(AnswerBody):
    id: UUID
    email: str
    tier: Tier
    """The tier that counts now. One that has run out is shown as free."""
    is_verified: bool
    display_name: str | None
    created_at: datetime


class ProfileAnswer(UserAnswer):
    impersonated_by: bool
    """Whether a member of the staff asks, who looks through this account; the app should say so."""


class TokensAnswer(AnswerBody):
    access_token: str
    refresh_token: str | SkipJsonSchema[None] = Field(default=None, exclude_if=is_none)
    """Not when it is in a cookie."""
    csrf_token: str | SkipJsonSchema[None] = Field(default=None, exclude_if=is_none)
    """Beside a cookie: send it as X-CSRF-Token."""
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds that the access token lives."""


class SignedInAnswer(TokensAnswer):
    user: UserAnswer
    device_token: str | None
    """For a device that is new here. Shown at its sign-ins, it keeps strangers' tries from locking the device out."""


class CsrfTokenAnswer(AnswerBody):
    csrf_token: str


class CheckEmailAnswer(AnswerBody):
    status: Literal["check_email"] = "check_email"


def user_answer(profile: Profile) -> UserAnswer:
    return UserAnswer(
        id=profile.id,
        email=profile.email,
        tier=profile.tier,
        is_verified=profile.is_verified,
        display_name=profile.display_name,
        created_at=profile.created_at,
    )


def profile_answer(profile: Profile, caller: Principal) -> ProfileAnswer:
    return ProfileAnswer(**dict(user_answer(profile)), impersonated_by=caller.impersonated_by is not None)


def tokens_answer(tokens: TokenPair) -> TokensAnswer:
    return TokensAnswer(
        access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in
    )


def signed_in_answer(signed_in: SignedInUser) -> SignedInAnswer:
    tokens = signed_in.tokens
    return SignedInAnswer(
        user=user_answer(signed_in.profile),
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_in=tokens.expires_in,
        device_token=signed_in.device_token,
    )
