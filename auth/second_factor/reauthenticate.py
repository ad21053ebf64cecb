"""Proving once more that it is you, by the second factor: the session counts as freshly signed in."""

from typing import Any

from sqlalchemy import select

from auth.assembly import Auth
from auth.models import User
from auth.principal import Principal
from auth.second_factor.factors import SecondFactorOff, factors_of
from auth.second_factor.passkeys.challenges import ChallengePurpose, begin_challenge, known_credentials
from auth.second_factor.passkeys.webauthn import assertion_options
from auth.second_factor.prove import FactorProof, SecondFactorRefused, prove_second_factor
from auth.sessions.step_up import step_up
from auth.tokens.access_token import IssuedToken
from database import transaction
from security.edge.problems import InvalidToken


def reauthenticate_by_second_factor(auth: Auth, caller: Principal, proof: FactorProof) -> IssuedToken:
    """A new access token of the same session. Raises SecondFactorOff, SecondFactorRefused, TooManyRequests, InvalidToken."""
    now = auth.clock()
    with transaction() as session:
        user = session.scalars(
            select(User).where(User.id == caller.user_id).with_for_update(key_share=True)
        ).one_or_none()
        if user is None:
            raise InvalidToken
        if not factors_of(session, user.id).on:
            raise SecondFactorOff
        factor = prove_second_factor(auth, session, user, proof, now, flow_id=caller.session_id)
        token = None
        if factor is not None:
            token = step_up(auth, session, caller, method=factor)
    if token is None:
        raise SecondFactorRefused  # only now, when the try is counted for good
    return token


def passkey_to_reauthenticate(auth: Auth, caller: Principal) -> dict[str, Any]:
    """What to ask the browser for. Raises SecondFactorOff when the account has no passkey."""
    now = auth.clock()
    with transaction() as session:
        # The user's row before any challenge, as everywhere: whoever answers at the same moment takes them in that order.
        session.execute(select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True))
        known = known_credentials(session, caller.user_id)
        if not known:
            raise SecondFactorOff
        challenge = begin_challenge(
            session, ChallengePurpose.SECOND_FACTOR, now, user_id=caller.user_id, flow_id=caller.session_id
        )
    return assertion_options(auth.passkey_site, challenge, known=known, verify_user=False)
