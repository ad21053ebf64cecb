"""The second half of a sign-in: the factor that was asked for, and then the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.audit import record
from auth.issue_tokens import issue_tokens
from auth.known_device import remember_device
from auth.models import User
from auth.open_session import Device, OpenedSession, evict_surplus_sessions, insert_session
from auth.read_profile import Profile, profile_of
from auth.register import SignedInUser
from auth.second_factor.ask_second_factor import SignInChoices, find_waiting, token_hash
from auth.second_factor.ceremony import KnownCredential, assertion_options
from auth.second_factor.models import SignInChallenge
from auth.second_factor.passkey_challenges import Ceremony, begin_challenge, known_credentials
from auth.second_factor.prove import Proof, SecondFactorRefused, prove_second_factor
from auth.sign_in import why_switched_off
from database import transaction
from security.problems import Problem


class SignInChallengeNotValid(Problem):
    """Unknown, too old, tried too often, used, or void because something changed in the account: one answer for all."""

    status, error, title = 401, "challenge_not_valid", "This sign-in has to begin again"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="mirroros"'})


@dataclass(frozen=True)
class OpenedForUser:
    """A session of a user who proved everything that the account asks for."""

    profile: Profile
    session: OpenedSession
    raised_version: int | None
    device_token: str | None


def finish_sign_in(auth: Auth, token: str, proof: Proof, device: Device) -> SignedInUser:
    """Raises SignInChallengeNotValid, SecondFactorRefused, AccountDisabled, AccountClosing, TooManyRequests."""
    with transaction() as session:
        opened = _finish(auth, session, token, proof, device)
    if opened is None:
        raise SecondFactorRefused  # only now, when the try is counted for good
    return signed_in(auth, opened)


def passkey_for_sign_in(auth: Auth, token: str) -> dict[str, Any]:
    """What to ask the browser for, when a passkey is to be the second factor. Raises SignInChallengeNotValid."""
    now = auth.clock()
    with transaction() as session:
        user, waiting = _waiting(session, token, now)
        challenge = begin_challenge(session, Ceremony.SECOND_FACTOR, now, user_id=user.id, flow_id=waiting.id)
        known: Sequence[KnownCredential] = known_credentials(session, user.id)
    return assertion_options(auth.passkey_site, challenge, known=known, verify_user=False)


def open_for(
    auth: Auth,
    session: Session,
    user: User,
    now: datetime,
    *,
    device: Device,
    device_id: UUID | None,
    choices: SignInChoices,
    method: str,
    second_factor: str | None = None,
) -> OpenedForUser:
    """Open a session in the caller's transaction, which holds the user's row."""
    user.last_login_at = now
    opened = insert_session(
        session, user_id=user.id, device=device, remember=choices.remember, lifetimes=auth.settings.sessions, now=now
    )
    raised = raise_state_version(session, user.id, now) if evict_surplus_sessions(session, user.id, now) else None
    device_token = remember_device(session, user.id, device_id, now)
    second: dict[str, Any] = {} if second_factor is None else {"second_factor": second_factor}
    record(session, "signed_in", now, user_id=user.id, session_id=opened.id, method=method, **second)
    return OpenedForUser(profile_of(user, now), opened, raised, device_token)


def signed_in(auth: Auth, opened: OpenedForUser) -> SignedInUser:
    """After the commit: drop what is cached of the account, and make the tokens."""
    if opened.raised_version is not None:
        auth.states.changed(opened.profile.id, opened.raised_version)
    tokens = issue_tokens(opened.session, auth.access_tokens, auth.refresh_tokens)
    return SignedInUser(opened.profile, tokens, opened.device_token)


def _finish(auth: Auth, session: Session, token: str, proof: Proof, device: Device) -> OpenedForUser | None:
    now = auth.clock()
    user, waiting = _waiting(session, token, now)
    if not user.is_active:
        raise why_switched_off(user)
    waiting.tries += 1
    factor = prove_second_factor(auth, session, user, proof, now, flow_id=waiting.id, device_id=waiting.device_id)
    if factor is None:
        return None
    session.execute(
        delete(SignInChallenge).where(SignInChallenge.id == waiting.id).execution_options(synchronize_session=False)
    )
    return open_for(
        auth,
        session,
        user,
        now,
        device=device,
        device_id=waiting.device_id,
        choices=SignInChoices(**waiting.choices),
        method=waiting.method,
        second_factor=factor,
    )


def _waiting(session: Session, token: str, now: datetime) -> tuple[User, SignInChallenge]:
    """The user, whose row is locked so that parallel tries count each other, and the sign-in."""
    owner = select(SignInChallenge.user_id).where(SignInChallenge.token_hash == token_hash(token))
    user = session.scalars(
        select(User).where(User.id == owner.scalar_subquery()).with_for_update(key_share=True)
    ).one_or_none()
    waiting = find_waiting(session, token, now) if user is not None else None
    if user is None or waiting is None:
        raise SignInChallengeNotValid
    return user, waiting
