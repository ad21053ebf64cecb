"""Signing in with what Apple or Google says of a person; the first time, that makes or finds the account."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_state import raise_state_version
from auth.assembly import Auth
from auth.audit import record
from auth.email_address import EmailAddress
from auth.end_session import end_sessions
from auth.identity_models import Identity
from auth.identity_token import IdentityTokenNotValid, ProvenIdentity
from auth.issue_tokens import issue_tokens
from auth.models import User
from auth.one_time_codes import Purpose
from auth.open_session import Device, OpenedSession, evict_surplus_sessions, insert_session
from auth.read_profile import Profile, profile_of
from auth.register import SignedInUser
from auth.sign_in import AccountDisabled
from database import transaction
from database.base import uuid7


@dataclass(frozen=True)
class _Opened:
    profile: Profile
    session: OpenedSession
    raised_version: int | None


def sign_in_with_provider(auth: Auth, proven: ProvenIdentity, *, remember: bool, device: Device) -> SignedInUser:
    """Raises IdentityTokenNotValid when the identity is new and has no verified address, and AccountDisabled."""
    with transaction() as session:
        opened = _open(auth, session, proven, remember, device)
    if opened.raised_version is not None:
        auth.states.changed(opened.profile.id, opened.raised_version)
    return SignedInUser(opened.profile, issue_tokens(opened.session, auth.access_tokens, auth.refresh_tokens))


def _open(auth: Auth, session: Session, proven: ProvenIdentity, remember: bool, device: Device) -> _Opened:
    now = auth.clock()
    user, event = _known_user(session, proven), "signed_in"
    changed = False
    if user is None:
        if proven.email is None:
            raise IdentityTokenNotValid
        user, event, changed = _link(auth, session, proven, proven.email, now)
    if not user.is_active:
        raise AccountDisabled
    user.last_login_at = now
    opened = insert_session(
        session, user_id=user.id, device=device, remember=remember, lifetimes=auth.settings.sessions, now=now
    )
    changed |= evict_surplus_sessions(session, user.id, now)
    raised = raise_state_version(session, user.id, now) if changed else None
    record(session, event, now, user_id=user.id, session_id=opened.id, method=proven.provider)
    return _Opened(profile_of(user, now), opened, raised)


def _known_user(session: Session, proven: ProvenIdentity) -> User | None:
    return session.scalars(
        select(User)
        .join(Identity, Identity.user_id == User.id)
        .where(Identity.provider == proven.provider, Identity.subject == proven.subject)
        .with_for_update(of=User)
    ).one_or_none()


def _link(
    auth: Auth, session: Session, proven: ProvenIdentity, email: EmailAddress, now: datetime
) -> tuple[User, str, bool]:
    """The account of that address, made if there is none; what happened; whether its state changed.

    An address that we have not verified may have been registered by somebody else, who waits for the owner to come. Now
    the owner has come: that password, every session it opened and every letter it asked for are worth nothing any more.
    """
    user_id = uuid7()
    made = session.execute(
        insert(User)
        .values(id=user_id, email=email.address, email_key=email.key, is_verified=True, created_at=now, updated_at=now)
        .on_conflict_do_nothing(index_elements=[User.email_key])
        .returning(User.id)
    ).scalar_one_or_none()
    user = session.scalars(select(User).where(User.email_key == email.key).with_for_update()).one()
    session.execute(
        insert(Identity)
        .values(provider=proven.provider, subject=proven.subject, user_id=user.id, created_at=now)
        .on_conflict_do_nothing()
    )
    identity = session.get_one(Identity, (proven.provider, proven.subject))
    if identity.user_id != user.id:
        raise IdentityTokenNotValid  # linked by a faster request, under an address that has changed since
    if made is not None:
        return user, "registered", False
    if user.is_verified:
        return user, "identity_linked", False
    user.password_hash, user.is_verified, user.updated_at = None, True, now
    end_sessions(session, user.id, now, "owner_proved")
    auth.one_time_codes.void(session, user.id, Purpose.VERIFY_EMAIL, Purpose.RESET_PASSWORD, Purpose.CHANGE_EMAIL)
    return user, "unverified_account_taken_over_by_its_owner", True
