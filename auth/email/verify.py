"""Confirming the address that an account was made with."""

from auth.account_change import account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_codes.one_time_codes import Purpose
from auth.email_codes.proof import EmailProof, spend_proof


def verify_email(auth: Auth, proof: EmailProof) -> None:
    """Raises OneTimeCodeNotValid."""
    with account_change(auth.states, auth.clock()) as change:
        user, _ = spend_proof(auth.one_time_codes, change, Purpose.VERIFY_EMAIL, proof)
        user.is_verified, user.updated_at = True, change.now
        change.permission_changed(user.id)
        record(change.session, "email_verified", change.now, user_id=user.id)
