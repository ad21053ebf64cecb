"""A job: forget challenges and wrong codes that no longer count."""

from sqlalchemy import select

from auth.second_factor.models import PasskeyChallenge, SignInChallenge, WrongSecondFactor
from auth.second_factor.prove import HOUR
from database.base import Clock
from database.batch import purge


def purge_second_factors(clock: Clock) -> int:
    """Returns how many rows were deleted."""
    now = clock()
    passkeys = select(PasskeyChallenge.challenge).where(PasskeyChallenge.expires_at < now)
    sign_ins = select(SignInChallenge.id).where(SignInChallenge.expires_at < now)
    wrong = select(WrongSecondFactor.id).where(WrongSecondFactor.tried_at < now - HOUR)
    return (
        purge("passkey_challenges", passkeys)
        + purge("sign_in_challenges", sign_ins)
        + purge("wrong_second_factors", wrong)
    )
