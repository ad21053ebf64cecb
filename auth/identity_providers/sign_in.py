"""Signing in with what Apple or Google says of a person; the first time, that makes or finds the account."""

from typing import Any

from sqlalchemy import or_, select

from auth.account_change import AccountChange, Refused, account_change
from auth.accounts.close import reopen
from auth.accounts.register import insert_unless_taken
from auth.assembly import Auth
from auth.audit.record import record
from auth.device import Device
from auth.email_address import EmailAddress
from auth.email_codes.one_time_codes import Purpose
from auth.email_codes.send import send_code
from auth.identity_providers.bodies import IdTokenBody
from auth.identity_providers.id_token import IdTokenNotValid, IdTokens, ProvenIdentity
from auth.identity_providers.keep_apple_token import exchange_later
from auth.identity_providers.linked import insert_identity
from auth.invites.redeem import check_invite, redeem_invite
from auth.lock_out.lock_out import lock_out
from auth.mail.notices import NOTICES, notify
from auth.metrics import SIGN_INS
from auth.models import Identity, User
from auth.problems import EmailTaken, why_disabled
from auth.second_factor.challenge import second_factor_needed
from auth.sessions.open import SignedInUser, open_session
from database import reading
from security.edge.problems import Problem

REGISTERED = "registered"


class AddressNeedsProof(Problem):
    """Google once verified the address, and does not know who has it now."""

    status, error = 409, "address_needs_proof"
    title = "An account already uses this e-mail address. Sign in another way or reset your password, then link Google"


def sign_in_with_provider(auth: Auth, tokens: IdTokens, body: IdTokenBody, device: Device) -> SignedInUser:
    """Raises as `tokens.verify` does, IdTokenNotValid also when the identity is new and has no verified address; and
    AddressNeedsProof, EmailTaken, AccountDisabled, AccountClosing, SecondFactorRequired. Where there is no account yet, also as
    `check_invite` does.
    """
    try:
        proven, invite = tokens.verify(body.id_token, body.nonce), None
    except IdTokenNotValid:
        SIGN_INS.labels(tokens.provider.name, "failed").inc()
        raise
    if auth.settings.registration_mode != "open" and not _has_account(proven):
        invite = check_invite(auth, body.invite_code)
    with account_change(auth.states, auth.clock()) as change:
        session, now = change.session, change.now
        user, event = _known_user(change, proven), "signed_in"
        invited: dict[str, Any] = {}
        if user is None:
            if proven.email is None:
                raise IdTokenNotValid
            user, event = _link(auth, change, proven, proven.email)
            if event == REGISTERED:
                invited = redeem_invite(auth, session, invite, now)
        if not user.is_active:
            if user.delete_after is None or not body.restore_account:
                raise why_disabled(user)
            reopen(auth, change, user)
        exchange_later(auth, session, proven, body)
        if event in NOTICES:
            notify(auth.mailer, session, event, user.email, now)
        needed = second_factor_needed(session, user, now, method=proven.provider, remember=body.remember_me)
        if needed is not None:
            if event != "signed_in":
                record(session, event, now, user_id=user.id, method=proven.provider)
            raise Refused(needed)
        return open_session(
            auth, change, user, device=device, remember=body.remember_me, event=event, method=proven.provider, **invited
        )


def _has_account(proven: ProvenIdentity) -> bool:
    known = select(Identity.user_id).where(Identity.provider == proven.provider, Identity.subject == proven.subject)
    addressed = select(User.id).where(User.email_key == (proven.email.key if proven.email is not None else None))
    with reading() as session:
        return session.execute(select(or_(known.exists(), addressed.exists()))).scalar_one()


def _known_user(change: AccountChange, proven: ProvenIdentity) -> User | None:
    """The user whom the identity is linked to, with the row locked. It may have been unlinked while this waited for the row, so it
    is looked up once more.
    """
    linked = select(Identity.user_id).where(Identity.provider == proven.provider, Identity.subject == proven.subject)
    user = change.hold(User.id == linked.scalar_subquery())
    return user if user is not None and change.session.scalars(linked).one_or_none() == user.id else None


def _link(auth: Auth, change: AccountChange, proven: ProvenIdentity, email: EmailAddress) -> tuple[User, str]:
    """The account of that address, made if there is none, and what happened.

    An account is joined only when the provider answers for who has the address now. One that it makes while it does not is
    unverified, until the e-mail that goes there is answered.
    """
    session, now = change.session, change.now
    made = insert_unless_taken(auth, session, email, now, is_verified=proven.authoritative) is not None
    user = change.hold(User.email_key == email.key)
    if user is None:
        raise EmailTaken(
            "An account used this e-mail address until a few days ago. Its owner can restore it with the e-mail that we sent"
        )
    linked = session.get(Identity, (proven.provider, proven.subject))
    if linked is not None and linked.user_id == user.id:
        return user, "signed_in"  # by a faster request, of the same person
    if not made and not proven.authoritative:
        raise AddressNeedsProof
    taken_over = not made and not user.is_verified
    if taken_over:
        _take_over(auth, change, user)
    identity, _ = insert_identity(session, proven, user, now)
    if identity.user_id != user.id:
        raise IdTokenNotValid  # linked by a faster request, under an address that has changed since
    if made:
        if not user.is_verified:
            send_code(auth, session, Purpose.VERIFY_EMAIL, user.id, user.email, now=now)
        return user, REGISTERED
    return user, "unverified_account_taken_over_by_its_owner" if taken_over else "identity_linked"


def _take_over(auth: Auth, change: AccountChange, user: User) -> None:
    """An address that nobody proved may have been registered by somebody else, who waits for its owner to come. Now the owner
    has come, and everything that lets the other one in is worth nothing any more.
    """
    user.password_hash, user.is_verified = None, True
    auth.one_time_codes.void(change.session, user.id, Purpose.VERIFY_EMAIL)
    lock_out(auth, change, user, "owner_proved", added_since=user.created_at, all_api_keys=True)
