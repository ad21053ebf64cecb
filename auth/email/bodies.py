"""The JSON bodies of the routes of e-mail addresses."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from auth.bodies import Email, Password, SixDigits
from auth.email_address import parse_email
from auth.email_codes.one_time_codes import LONGEST_LINK_TOKEN
from auth.email_codes.proof import CodeProof, EmailProof, LinkProof
from security.api.models import Body, OneOfBody

LinkToken = Annotated[
    str, Field(max_length=LONGEST_LINK_TOKEN, description="The part after `#token=` in the link from the e-mail.")
]


class EmailBody(Body):
    email: Email


class NewEmailBody(Body):
    new_email: Email


class TokenBody(Body):
    token: LinkToken


def _proof_of(document: Any) -> str | None:
    """The tag of the form that a body has; None for both or neither."""
    members = document.keys() if isinstance(document, dict) else set()
    by_code = bool(members & {"email", "code"})
    return ("code" if by_code else "link") if by_code != ("token" in members) else None


ONE_PROOF = Discriminator(
    _proof_of, custom_error_type="one_of", custom_error_message="Send either token or email and code"
)


class ByLink(Body):
    token: LinkToken

    @property
    def proof(self) -> EmailProof:
        return LinkProof(self.token)


class ByCode(Body):
    email: Email
    """The address that we sent the e-mail to."""
    code: SixDigits

    @property
    def proof(self) -> EmailProof:
        return CodeProof(parse_email(self.email), self.code)


class EmailProofBody(OneOfBody[Annotated[Annotated[ByLink, Tag("link")] | Annotated[ByCode, Tag("code")], ONE_PROOF]]):
    """Send the `token` from the link in the e-mail, or the `code` and the `email` address that we sent it to."""


class ResetPasswordByLink(ByLink):
    new_password: Password


class ResetPasswordByCode(ByCode):
    new_password: Password


class ResetPasswordBody(
    OneOfBody[
        Annotated[Annotated[ResetPasswordByLink, Tag("link")] | Annotated[ResetPasswordByCode, Tag("code")], ONE_PROOF]
    ]
):
    """Send the new password with the `token` from the link in the e-mail, or with the `code` and the `email` address that we sent
    it to."""
