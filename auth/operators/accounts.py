"""What operators do to accounts. Each change is an event, and counts within one request of the user."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_change import AccountChange, account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress
from auth.lock_out.lock_out import lately, lock_out
from auth.mail.notices import notify
from auth.models import AuthSession, User
from auth.password_hashing.policy import check_new_password
from auth.principal import Role
from auth.second_factor.factors import factors_of
from auth.second_factor.forget import forget_factors
from auth.tiers import Tier, effective_tier
from database import reading, transaction
from database.base import uuid7

OPERATOR = "operator"
"""Whoever may start a command on the machine. Written as `by` into the events, as it is no account."""
SetTier = Callable[[Session, UUID, Tier, datetime | None, datetime], None]
"""Gives a tier by hand; whoever owns tiers says how it is kept. Called with the transaction's session, the user, the tier, its
end and now. The caller holds the user's row, raises the state's version, and records the event."""


class NoSuchAccount(Exception):
    """There is no account with this address."""


class AccountExists(Exception):
    """There is an account with this address already."""


class NothingToChange(Exception):
    """It is so already."""


@dataclass(frozen=True)
class Account:
    id: UUID
    email: str
    role: Role
    tier: Tier
    """The one that counts now."""
    tier_until: datetime | None
    tier_source: str | None
    is_active: bool
    is_verified: bool
    has_password: bool
    created_at: datetime
    last_login_at: datetime | None
    sessions: int
    """Those that live."""


def read_account(email: EmailAddress, now: datetime) -> Account:
    """Raises NoSuchAccount."""
    with reading() as session:
        user = session.scalars(select(User).where(User.email_key == email.key)).one_or_none()
        if user is None:
            raise NoSuchAccount
        living = session.scalars(
            select(func.count())
            .select_from(AuthSession)
            .where(AuthSession.user_id == user.id, AuthSession.revoked_at.is_(None))
            .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
        ).one()
        return Account(
            id=user.id,
            email=user.email,
            role=Role(user.role),
            tier=effective_tier(Tier(user.tier), user.tier_expires_at, now),
            tier_until=user.tier_expires_at,
            tier_source=user.tier_source,
            is_active=user.is_active,
            is_verified=user.is_verified,
            has_password=user.password_hash is not None,
            created_at=user.created_at,
            last_login_at=user.last_login_at,
            sessions=living,
        )


def create_user(auth: Auth, email: EmailAddress, password: str, role: Role) -> UUID:
    """With a verified address, as the operator vouches for it. Raises PasswordRefused, AccountExists."""
    check_new_password(
        password,
        minimum_length=auth.settings.password_minimum_length,
        mail_name=email.address.partition("@")[0],
        breached=auth.pwned_passwords,
    )
    password_hash, now = auth.passwords.hash(password), auth.clock()
    with transaction() as session:
        user_id = session.execute(
            insert(User)
            .values(
                id=uuid7(),
                email=email.address,
                email_key=email.key,
                password_hash=password_hash,
                role=role.value,
                is_verified=True,
                created_at=now,
                updated_at=now,
            )
            .on_conflict_do_nothing(index_elements=[User.email_key])
            .returning(User.id)
        ).scalar_one_or_none()
        if user_id is None:
            raise AccountExists
        record(session, "registered", now, user_id=user_id, by=OPERATOR, role=role.value)
    return user_id


def set_role(auth: Auth, email: EmailAddress, role: Role) -> None:
    """Raises NoSuchAccount, NothingToChange."""

    def make(_change: AccountChange, user: User) -> dict[str, Any]:
        if user.role == role.value:
            raise NothingToChange
        before, user.role = user.role, role.value
        return {"role": role.value, "before": before}

    _change(auth, email, "role_changed", make)


def disable(auth: Auth, email: EmailAddress) -> None:
    """Ends every session and API key and what was added lately, so that enabling the account again lets nobody in
    who was in before. Raises NoSuchAccount, NothingToChange.
    """

    def make(change: AccountChange, user: User) -> dict[str, Any]:
        if not user.is_active and user.delete_after is None:
            raise NothingToChange
        # One that its owner closed, too: the owner could have it back, and a job would delete it.
        user.is_active, user.delete_after = False, None
        since = lately(user, change.now)
        return lock_out(auth, change, user, "disabled", added_since=since, all_api_keys=True).detail

    _change(auth, email, "account_disabled", make)


def enable(auth: Auth, email: EmailAddress) -> None:
    """Raises NoSuchAccount, NothingToChange."""

    def make(_change: AccountChange, user: User) -> dict[str, Any]:
        if user.is_active:
            raise NothingToChange
        user.is_active, user.delete_after = True, None
        return {}

    _change(auth, email, "account_enabled", make)


def reset_second_factor(auth: Auth, email: EmailAddress) -> None:
    """For an owner who lost the second factor, or was given one by an intruder: none is asked for any more, and what was added
    lately goes too. The operator has made sure that it is the owner who asks. Raises NoSuchAccount, NothingToChange.
    """

    def make(change: AccountChange, user: User) -> dict[str, Any]:
        if not factors_of(change.session, user.id).on:
            raise NothingToChange
        factors = forget_factors(change.session, user.id)
        removed = lock_out(auth, change, user, "second_factor_changed", added_since=lately(user, change.now))
        notify(auth.mailer, change.session, "second_factor_reset", user.email, change.now)
        return {**removed.detail, "factors_removed": factors}

    _change(auth, email, "second_factor_reset", make)


def give_tier(auth: Auth, set_tier: SetTier, email: EmailAddress, tier: Tier, until: datetime | None) -> None:
    """Raises NoSuchAccount."""

    def make(change: AccountChange, user: User) -> dict[str, Any]:
        set_tier(change.session, user.id, tier, until, change.now)
        return {"tier": tier.value, "until": None if until is None else until.isoformat(), "source": "manual"}

    _change(auth, email, "tier_changed", make)


MakeChange = Callable[[AccountChange, User], Mapping[str, Any]]
"""Makes the change and says what stands in the event."""


def _change(auth: Auth, email: EmailAddress, event: str, make: MakeChange) -> None:
    with account_change(auth.states, auth.clock()) as change:
        user = change.hold(User.email_key == email.key)
        if user is None:
            raise NoSuchAccount
        detail = make(change, user)
        change.permission_changed(user.id)
        record(change.session, event, change.now, user_id=user.id, by=OPERATOR, **detail)
