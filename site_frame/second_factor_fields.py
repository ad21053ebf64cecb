"""The second factor as a form sends it: a code, or what a passkey answered."""

from pydantic import Field, ValidationError

from auth.second_factor.bodies import AssertionCredential, ByPasskey, ByRecoveryCode, ByTotpCode, TypedCode
from auth.second_factor.prove import FactorProof, SecondFactorRefused
from security.api.models import FilledIn
from security.edge.problems import ValidationFailed, field_error

LONGEST_PASSKEY = 32_768


class SecondFactorFields(FilledIn):
    """`passkey` is `PublicKeyCredential.toJSON()`, which a script of ours puts into the form."""

    code: TypedCode | None = None
    passkey: str | None = Field(default=None, max_length=LONGEST_PASSKEY)

    def proof(self) -> FactorProof:
        """Six digits are of the authenticator app, anything else is a recovery code. Raises ValidationFailed,
        SecondFactorRefused.
        """
        if self.passkey is not None:
            try:
                return ByPasskey(passkey=AssertionCredential.model_validate_json(self.passkey))
            except ValidationError:
                raise SecondFactorRefused from None
        if self.code is None:
            raise ValidationFailed([field_error(["code"], "missing", "Field required")])
        try:
            return ByTotpCode(totp_code=self.code)
        except ValidationError:
            return ByRecoveryCode(recovery_code=self.code)
