"""The JSON that the routes of e-mail addresses take."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from auth.bodies import LEFT_OUT, Email, Password, SixDigits
from auth.email_address import parse_email
from auth.one_time_codes import LONGEST_LINK_TOKEN
from auth.prove_address import CodeProof, LinkProof, Proof
from security.operation import Body

LinkToken = Annotated[
    str, Field(max_length=LONGEST_LINK_TOKEN, description="What stands behind # in the letter's link.")
]
_ONE_FORM: dict[str, Any] = {
    "oneOf": [
        {"required": ["token"], "not": {"anyOf": [{"required": ["email"]}, {"required": ["code"]}]}},
        {"required": ["email", "code"], "not": {"required": ["token"]}},
    ]
}


class EmailBody(Body):
    email: Email


class NewEmailBody(Body):
    new_email: Email


class TokenBody(Body):
    token: LinkToken


class LetterProofBody(Body):
    """What a letter holds: `token`, or `code` with the `email` that it went to."""

    model_config = ConfigDict(json_schema_extra=_ONE_FORM)

    token: LinkToken | SkipJsonSchema[None] = LEFT_OUT
    email: Email | SkipJsonSchema[None] = LEFT_OUT
    code: SixDigits | SkipJsonSchema[None] = LEFT_OUT

    @model_validator(mode="after")
    def one_form(self) -> "LetterProofBody":
        given = {name for name in ("token", "email", "code") if getattr(self, name) is not None}
        if given not in ({"token"}, {"email", "code"}):
            raise ValueError("Send the token of the letter's link, or email and code.")
        return self

    @property
    def proof(self) -> Proof:
        if self.token is not None:
            return LinkProof(self.token)
        return CodeProof(parse_email(self.email or ""), self.code or "")


class ResetPasswordBody(LetterProofBody):
    new_password: Password
