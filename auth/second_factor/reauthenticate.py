"""Proving once more that it is you, by the second factor: the session counts as freshly signed in."""

from typing import Any

from sqlalchemy import select, update

from auth.access_token import IssuedToken
from auth.assembly import Auth
from auth.audit import record
from auth.models import AuthSession, User
from auth.principal import Principal
from auth.second_factor.ceremony import assertion_options
from auth.second_factor.factors import SecondFactorOff, factors_of
from auth.second_factor.passkey_challenges import Ceremony, begin_challenge, known_credentials
from auth.second_factor.prove import Proof, SecondFactorRefused, prove_second_factor
from database import transaction
from security.problems import InvalidToken


def reauthenticate_by_second_factor(auth: Auth, caller: Principal, proof: Proof) -> IssuedToken:
    """A new access token of the same session. Raises SecondFactorOff, SecondFactorRefused, TooManyRequests, InvalidToken."""
    now = auth.clock()
    with transaction() as session:
        user = session.scalars(select(User).where(User.id == caller.user_id).with_for_update()).one_or_none()
        if user is None:
            raise InvalidToken
        if not factors_of(session, user.id).on:
            raise SecondFactorOff
        factor = prove_second_factor(auth, session, user, proof, now, flow_id=caller.session_id)
        expires_at = None
        if factor is not None:
            expires_at = session.execute(
                update(AuthSession)
                .where(AuthSession.id == caller.session_id, AuthSession.revoked_at.is_(None))
                .values(auth_time=now)
                .returning(AuthSession.expires_at)
                .execution_options(synchronize_session=False)
            ).scalar_one_or_none()
            if expires_at is None:
                raise InvalidToken
            record(session, "reauthenticated", now, user_id=user.id, session_id=caller.session_id, second_factor=factor)
    if expires_at is None:
        raise SecondFactorRefused  # only now, when the try is counted for good
    return auth.access_tokens.issue(
        user_id=caller.user_id, session_id=caller.session_id, auth_time=now, not_after=expires_at
    )


def passkey_to_reauthenticate(auth: Auth, caller: Principal) -> dict[str, Any]:
    """What to ask the browser for. Raises SecondFactorOff when the account has no passkey."""
    now = auth.clock()
    with transaction() as session:
        # The user's row before any challenge, as everywhere: whoever answers at the same moment takes them in that order.
        session.execute(select(User.id).where(User.id == caller.user_id).with_for_update())
        known = known_credentials(session, caller.user_id)
        if not known:
            raise SecondFactorOff
        challenge = begin_challenge(
            session, Ceremony.SECOND_FACTOR, now, user_id=caller.user_id, flow_id=caller.session_id
        )
    return assertion_options(auth.passkey_site, challenge, known=known, verify_user=False)
