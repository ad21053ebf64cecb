"""The JSON that the routes of accounts take and give."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from auth.email_address import MAXIMUM_LENGTH, parse_email
from auth.invite_code import LONGEST_TEXT as LONGEST_INVITE_CODE
from auth.issue_tokens import TokenPair
from auth.known_device import LONGEST_TOKEN as LONGEST_DEVICE_TOKEN
from auth.passwords import MAXIMUM_CHARACTERS
from auth.principal import Principal
from auth.read_profile import Profile
from auth.refresh_token import LONGEST_TOKEN
from auth.register import SignedInUser
from auth.tiers import Tier
from security.operation import AnswerBody, Body


def acceptable_address(text: str) -> str:
    parse_email(text)
    return text


Email = Annotated[
    str,
    Field(max_length=MAXIMUM_LENGTH, json_schema_extra={"format": "email"}, examples=["alice@example.com"]),
    AfterValidator(acceptable_address),
]
Password = Annotated[
    str,
    Field(max_length=MAXIMUM_CHARACTERS, json_schema_extra={"format": "password"}, examples=["tulip-9-orbit-canoe"]),
]
DeviceToken = Annotated[str, Field(max_length=LONGEST_DEVICE_TOKEN)]
InviteCode = Annotated[str, Field(max_length=LONGEST_INVITE_CODE, examples=["7KQ2M-X40DR"])]
RefreshToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]


class RegisterBody(Body):
    email: Email
    password: Password
    invite_code: InviteCode | None = None
    """Needed where accounts are made by invitation, else not looked at. Case, spaces and hyphens do not matter."""


class SignInBody(Body):
    email: Email
    password: Password
    remember_me: bool = False
    device_token: DeviceToken | None = None


class RefreshBody(Body):
    refresh_token: RefreshToken


class SignOutBody(Body):
    refresh_token: RefreshToken | None = None


class UserAnswer(AnswerBody):
    id: UUID
    email: str
    tier: Tier
    """The tier that counts now. One that has run out is shown as free."""
    is_verified: bool
    created_at: datetime


class ProfileAnswer(UserAnswer):
    impersonated_by: bool
    """Whether a member of the staff asks, who looks through this account; the app should say so."""


class TokensAnswer(AnswerBody):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds that the access token lives."""


class SignedInAnswer(TokensAnswer):
    user: UserAnswer
    device_token: str | None
    """For a device that is new here. Shown at its sign-ins, it keeps strangers' tries from locking the device out."""


class CheckEmailAnswer(AnswerBody):
    status: Literal["check_email"] = "check_email"


def user_answer(profile: Profile) -> UserAnswer:
    return UserAnswer(
        id=profile.id,
        email=profile.email,
        tier=profile.tier,
        is_verified=profile.is_verified,
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
