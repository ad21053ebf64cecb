"""The JSON that the routes of e-mail addresses take."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from auth.bodies import Email, Password
from auth.email_address import parse_email
from auth.one_time_codes import CODE_DIGITS, LONGEST_LINK_TOKEN
from auth.prove_address import CodeProof, LinkProof, Proof
from security.operation import Body

LinkToken = Annotated[
    str, Field(max_length=LONGEST_LINK_TOKEN, description="What stands behind # in the letter's link.")
]
Digits = Annotated[
    str,
    Field(min_length=CODE_DIGITS, max_length=CODE_DIGITS, pattern="^[0-9]+$", examples=["204816"]),
]
_NULL, _TEXT = {"type": "null"}, {"type": "string"}
_ONE_FORM: dict[str, Any] = {
    "oneOf": [
        {"required": ["token"], "properties": {"token": _TEXT, "email": _NULL, "code": _NULL}},
        {"required": ["email", "code"], "properties": {"token": _NULL, "email": _TEXT, "code": _TEXT}},
    ]
}


class EmailBody(Body):
    email: Email


class NewEmailBody(Body):
    new_email: Email


class TokenBody(Body):
    token: LinkToken


class ProofBody(Body):
    """What a letter holds: `token`, or `code` with the `email` that it went to."""

    model_config = ConfigDict(json_schema_extra=_ONE_FORM)

    token: LinkToken | None = None
    email: Email | None = None
    code: Digits | None = None

    @model_validator(mode="after")
    def one_form(self) -> "ProofBody":
        given = {name for name in ("token", "email", "code") if getattr(self, name) is not None}
        if given not in ({"token"}, {"email", "code"}):
            raise ValueError("Send the token of the letter's link, or email and code.")
        return self

    @property
    def proof(self) -> Proof:
        if self.token is not None:
            return LinkProof(self.token)
        return CodeProof(parse_email(self.email or ""), self.code or "")


class ResetPasswordBody(ProofBody):
    new_password: Password
