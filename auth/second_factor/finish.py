"""The second half of a sign-in: the factor that was asked for, and then the session."""

from typing import Any

from sqlalchemy import select

from auth.account_change import AccountChange, account_change
from auth.assembly import Auth
from auth.device import Device
from auth.models import User
from auth.problems import why_disabled
from auth.second_factor.challenge import find_waiting
from auth.second_factor.models import SignInChallenge
from auth.second_factor.passkeys.challenges import ChallengePurpose, begin_challenge, known_credentials
from auth.second_factor.passkeys.webauthn import assertion_options
from auth.second_factor.prove import FactorProof, prove_second_factor
from auth.sessions.known_devices import remember_device
from auth.sessions.open import SignedInUser, open_session
from auth.tokens.opaque import token_hash
from security.edge.problems import Unauthorized


class SignInChallengeNotValid(Unauthorized):
    """Unknown, too old, tried too often, used, or void because something changed in the account: one answer for all."""

    error, title = "challenge_not_valid", "This sign-in has expired. Sign in again"


def finish_sign_in(auth: Auth, token: str, proof: FactorProof, device: Device) -> SignedInUser:
    """Raises SignInChallengeNotValid, SecondFactorRefused, AccountDisabled, AccountClosing, TooManyRequests."""
    with account_change(auth.states, auth.clock()) as change:
        session = change.session
        user, waiting = _waiting(change, token)
        if not user.is_active:
            raise why_disabled(user)
        waiting.tries += 1
        factor = prove_second_factor(auth, change, user, proof, flow_id=waiting.id, device_id=waiting.device_id)
        session.delete(waiting)
        return open_session(
            auth,
            change,
            user,
            device=device,
            remember=waiting.choices["remember"],
            device_token=remember_device(session, user.id, waiting.device_id, change.now),
            method=waiting.method,
            second_factor=factor,
        )


def passkey_for_sign_in(auth: Auth, token: str) -> dict[str, Any]:
    """What to ask the browser for, when a passkey is to be the second factor. Raises SignInChallengeNotValid."""
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user, waiting = _waiting(change, token)
        session = change.session
        challenge = begin_challenge(session, ChallengePurpose.SECOND_FACTOR, now, user_id=user.id, flow_id=waiting.id)
        known = known_credentials(session, user.id)
    return assertion_options(auth.passkey_site, challenge, known=known, verify_user=False)


def _waiting(change: AccountChange, token: str) -> tuple[User, SignInChallenge]:
    """The user, whose row is locked so that parallel tries count each other, and the sign-in."""
    owner = select(SignInChallenge.user_id).where(SignInChallenge.token_hash == token_hash(token))
    user = change.hold(User.id == owner.scalar_subquery())
    waiting = find_waiting(change.session, token, change.now) if user is not None else None
    if user is None or waiting is None:
        raise SignInChallengeNotValid
    return user, waiting
