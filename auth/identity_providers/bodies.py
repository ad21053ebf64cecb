"""The JSON bodies of Sign in with Apple and Google, and of linked accounts."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from auth.bodies import InviteCode, NewSession
from auth.identity_providers.id_token import LONGEST_TOKEN
from security.api.cursor import ListAnswer
from security.api.models import AnswerBody, Body

VISIBLE = "^[!-~]*$"
"""ASCII without blanks: what Apple's codes and addresses are made of."""

IdToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]
Nonce = Annotated[str, Field(min_length=16, max_length=128)]
AuthorizationCode = Annotated[str, Field(min_length=1, max_length=1024, pattern=VISIBLE)]
RedirectUri = Annotated[str, Field(max_length=2048, pattern=VISIBLE, json_schema_extra={"format": "uri"})]


class LinkIdentityBody(Body):
    id_token: IdToken
    nonce: Nonce


class IdTokenBody(NewSession):
    id_token: IdToken
    nonce: Nonce
    remember_me: bool = False
    invite_code: InviteCode | None = None
    """Required for a new account when registration needs an invite."""
    restore_account: bool = False
    """Restore the account if it is closed and not deleted yet."""


class AppleCodeFields(Body):
    authorization_code: AuthorizationCode | None = Field(default=None, repr=False)
    """The authorization code from the same sign-in. It lets us revoke Sign in with Apple when the account is deleted."""
    redirect_uri: RedirectUri | None = None
    """Web apps only: the redirect URI that you sent to Apple."""


class AppleTokenBody(AppleCodeFields, IdTokenBody):
    pass


class LinkAppleBody(AppleCodeFields, LinkIdentityBody):
    pass


class IdentityAnswer(AnswerBody):
    id: UUID
    provider: Literal["apple", "google"]
    linked_at: datetime = Field(validation_alias="created_at")


class IdentitiesAnswer(ListAnswer):
    identities: list[IdentityAnswer]
