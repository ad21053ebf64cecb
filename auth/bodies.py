"""The JSON bodies that several routes of accounts share."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from auth.email_address import MAXIMUM_LENGTH, parse_email
from auth.password_hashing.bcrypt_hash import MAXIMUM_CHARACTERS
from auth.profile import UserAnswer
from auth.sessions.cookies import TokenDelivery
from auth.sessions.known_devices import LONGEST_TOKEN as LONGEST_DEVICE_TOKEN
from auth.tokens.refresh_token import LONGEST_TOKEN
from auth.tokens.typed_code import LONGEST_TYPED
from security.api.models import AnswerBody, Body
from security.api.typed_text import BLANKS, DIGITS, IN_LOWER_CASE, ONE_LINE, trims

LONGEST_NAME = 100
LONGEST_USERNAME = 32


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
        description="Spaces and hyphens are ignored.",
    ),
    DIGITS,
]
"""Of an authenticator app or an e-mail."""
Name = Annotated[str, Field(max_length=LONGEST_NAME, pattern=ONE_LINE, examples=["Alice's phone"]), trims(LONGEST_NAME)]
"""What people call a device, a passkey, an API key or themselves."""
Username = Annotated[
    str,
    Field(
        max_length=LONGEST_USERNAME,
        pattern="^[a-z0-9][a-z0-9._-]{2,31}$",
        json_schema_extra={"pattern": rf"^[{BLANKS}]*[A-Za-z0-9][A-Za-z0-9._-]{{2,31}}[{BLANKS}]*$"},
        examples=["alice"],
        description="Letters without regard to case, digits, dots, hyphens and underscores. It is shown in lower case.",
    ),
    IN_LOWER_CASE,
    trims(LONGEST_USERNAME),
]


class NewSession(Body):
    """What the client can say about the session that a sign-in opens."""

    device_name: Name | None = None
    token_delivery: TokenDelivery = "body"  # noqa: S105
    """`body` for apps. `cookie` for web apps: the refresh token is then set as a cookie."""


class RegisterBody(NewSession):
    email: Email
    password: Password
    username: Username | None = None
    invite_code: InviteCode | None = None
    """Required when registration needs an invite, otherwise ignored. Case, spaces and hyphens do not matter."""


class SignInBody(NewSession):
    email: Email
    password: Password
    remember_me: bool = False
    device_token: DeviceToken | None = None


class RefreshBody(Body):
    refresh_token: RefreshToken | None = None
    """Leave it out to use the cookie."""


class SignOutBody(Body):
    refresh_token: RefreshToken | None = None


class ProfileAnswer(UserAnswer):
    impersonated_by: bool
    """Whether a member of our staff is viewing this account. Show this in your app."""


class TokensAnswer(AnswerBody):
    access_token: str
    refresh_token: str | SkipJsonSchema[None] = Field(default=None, exclude_if=is_none)
    """Missing when it is set as a cookie."""
    csrf_token: str | SkipJsonSchema[None] = Field(default=None, exclude_if=is_none)
    """Only with a cookie. Send it as `X-CSRF-Token`."""
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds until the access token expires."""


class SignedInAnswer(TokensAnswer):
    user: UserAnswer
    device_token: str | None
    """Only for a new device. Store it and send it with the next sign-in, so that other people's wrong passwords cannot lock
    this device out."""


class CsrfTokenAnswer(AnswerBody):
    csrf_token: str


class CheckEmailAnswer(AnswerBody):
    status: Literal["check_email"] = "check_email"
