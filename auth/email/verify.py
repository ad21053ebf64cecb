"""Confirming the address that an account was made with."""

from auth.assembly import Auth
from auth.audit.record import record
from auth.email_codes.one_time_codes import OneTimeCodeNotValid, Purpose
from auth.email_codes.proof import EmailProof, spend_proof
from database import transaction


def verify_email(auth: Auth, proof: EmailProof) -> None:
    """Raises OneTimeCodeNotValid."""
    now = auth.clock()
    with transaction() as session:
        proven = spend_proof(auth.one_time_codes, session, Purpose.VERIFY_EMAIL, proof, now)
        if proven is not None:
            proven.user.is_verified, proven.user.updated_at = True, now
            record(session, "email_verified", now, user_id=proven.user.id)
    if proven is None:
        raise OneTimeCodeNotValid
