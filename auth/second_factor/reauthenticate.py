"""Proving once more that it is you, by the second factor: the session counts as freshly signed in."""

from typing import Any

from auth.account_change import account_change, hold_account
from auth.assembly import Auth
from auth.principal import Principal
from auth.second_factor.factors import SecondFactorOff, factors_of
from auth.second_factor.passkeys.challenges import ChallengePurpose, begin_challenge, known_credentials
from auth.second_factor.passkeys.webauthn import assertion_options
from auth.second_factor.prove import FactorProof, prove_second_factor
from auth.sessions.step_up import step_up
from auth.tokens.access_token import IssuedToken
from database import transaction


def reauthenticate_by_second_factor(auth: Auth, caller: Principal, proof: FactorProof) -> IssuedToken:
    """A new access token of the same session. Raises SecondFactorOff, SecondFactorRefused, TooManyRequests, InvalidToken."""
    with account_change(auth.states, auth.clock()) as change:
        user = hold_account(change.session, caller.user_id)
        if not factors_of(change.session, user.id).on:
            raise SecondFactorOff
        factor = prove_second_factor(auth, change, user, proof, flow_id=caller.session_id)
        return step_up(auth, change.session, caller, method=factor)


def passkey_to_reauthenticate(auth: Auth, caller: Principal) -> dict[str, Any]:
    """What to ask the browser for. Raises SecondFactorOff when the account has no passkey."""
    now = auth.clock()
    with transaction() as session:
        # The user's row before any challenge, as everywhere: whoever answers at the same moment takes them in that order.
        hold_account(session, caller.user_id)
        known = known_credentials(session, caller.user_id)
        if not known:
            raise SecondFactorOff
        challenge = begin_challenge(
            session, ChallengePurpose.SECOND_FACTOR, now, user_id=caller.user_id, flow_id=caller.session_id
        )
    return assertion_options(auth.passkey_site, challenge, known=known, verify_user=False)
