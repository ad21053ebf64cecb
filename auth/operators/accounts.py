"""What operators and staff do to accounts: `flask users` and the dashboard. Each change is an event, and counts within one
request of the user.

What cannot be changed raises a Problem: NotFound, NothingToChange, RoleNotBelowYours, TierEndRefused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import AccountChange, account_change
from auth.api_keys.list import is_live
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import EmailAddress
from auth.insert_user import insert_user
from auth.lock_out.lock_out import lately, lock_out
from auth.mail.notices import notify
from auth.models import ApiKey, AuthSession, User
from auth.password_hashing.policy import PasswordRefused, check_new_password
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.principal import Role
from auth.second_factor.factors import factors_of
from auth.second_factor.forget import forget_factors
from auth.tiers import Tier, effective_tier
from database import reading, transaction
from security.edge.problems import NotFound, Problem, ValidationFailed

OPERATOR = "operator"
"""Whoever may start a command on the machine. Written as `by` into the events, as it is no account."""


class SetTier(Protocol):
    """Gives a tier by hand; whoever owns tiers says how it is kept. The caller holds the user's row, raises the state's version,
    and records the event. `by`: who gives it.
    """

    def __call__(
        self, session: Session, user_id: UUID, tier: Tier, until: datetime | None, *, now: datetime, by: str
    ) -> None: ...


NO_SUCH_ACCOUNT = "No account uses this e-mail address"
NO_SUCH_KEY = "No API key has this ID"


class NothingToChange(Problem):
    status, error, title = 409, "nothing_to_change", "Nothing to change"


class RoleNotBelowYours(Problem):
    """Nobody changes the own account, or that of a colleague, in the dashboard."""

    status, error, title = 403, "role_not_below_yours", "You can only change accounts with a lower role than yours"


class TierEndRefused(ValidationFailed):
    def __init__(self, message: str) -> None:
        super().__init__([{"pointer": "/until", "code": "tier_end_refused", "message": message}])
        self.message = message


@dataclass(frozen=True)
class Staff:
    """A member of the staff who changes somebody's account. The account's owner can read `reason`."""

    user_id: UUID
    role: Role
    reason: str


def describe(email: EmailAddress, now: datetime) -> dict[str, object]:
    """By the name of each line."""
    with reading() as session:
        user = session.scalars(select(User).where(User.email_key == email.key)).one_or_none()
        if user is None:
            raise NotFound(NO_SUCH_ACCOUNT)
        living = session.scalars(
            select(func.count())
            .select_from(AuthSession)
            .where(AuthSession.user_id == user.id, AuthSession.revoked_at.is_(None))
            .where(AuthSession.idle_expires_at > now, AuthSession.expires_at > now)
        ).one()
        tier = effective_tier(Tier(user.tier), user.tier_expires_at, now)
        until = f" until {_minute(user.tier_expires_at)}" if user.tier_expires_at is not None else ""
        source = f" ({user.tier_source})" if user.tier_source else ""
        return {
            "id": user.id,
            "email": f"{user.email} ({'confirmed' if user.is_verified else 'not confirmed'})",
            "username": user.username or "none",
            "role": user.role,
            "tier": f"{tier}{until}{source}",
            "active": "yes" if user.is_active else "no",
            "password": "yes" if user.password_hash is not None else "no",
            "created": _minute(user.created_at),
            "last sign-in": "never" if user.last_login_at is None else _minute(user.last_login_at),
            "sessions": living,
        }


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def create_user(auth: Auth, email: EmailAddress, password: str, role: Role) -> UUID:
    """With a verified address, as the operator vouches for it."""
    try:
        check_new_password(password, auth.password_rules, email)
        password_hash, now = auth.passwords.hash(password), auth.clock()
    except PasswordRefused as refusal:
        (error,) = refusal.members["errors"]
        raise click.ClickException(str(error["message"])) from None
    except PasswordWorkBusy as busy:
        raise click.ClickException(busy.detail) from None
    with transaction() as session:
        user = insert_user(session, email, now, password_hash=password_hash, role=role.value, is_verified=True)
        if user is None:
            raise click.ClickException(
                "An account already uses this e-mail address. To change its role, use: flask users set-role"
            )
        record(session, "registered", now, user_id=user.id, by=OPERATOR, role=role.value)
        return user.id


def set_role(auth: Auth, email: EmailAddress, role: Role) -> None:
    with _changing(auth, email, None, "role_changed") as (_, user, detail):
        if user.role == role.value:
            raise NothingToChange
        detail.update({"role": role.value, "before": user.role})
        user.role = role.value


def disable(auth: Auth, whose: EmailAddress | UUID, by: Staff | None = None) -> None:
    """Ends every session and API key and what was added lately, so that enabling the account again lets nobody in
    who was in before.
    """
    with _changing(auth, whose, by, "account_disabled") as (change, user, detail):
        if not user.is_active and user.delete_after is None:
            raise NothingToChange
        # One that its owner closed, too: the owner could have it back, and a job would delete it.
        user.is_active, user.delete_after = False, None
        since = lately(user, change.now)
        detail.update(lock_out(auth, change, user, "disabled", added_since=since, all_api_keys=True).detail)


def enable(auth: Auth, whose: EmailAddress | UUID, by: Staff | None = None) -> None:
    with _changing(auth, whose, by, "account_enabled") as (_, user, _detail):
        if user.is_active:
            raise NothingToChange
        user.is_active, user.delete_after = True, None


def reset_second_factor(auth: Auth, whose: EmailAddress | UUID, by: Staff | None = None) -> None:
    """For an owner who lost the second factor, or was given one by an intruder: none is asked for any more, and what was added
    lately goes too. Whoever does this has made sure that it is the owner who asks.
    """
    with _changing(auth, whose, by, "second_factor_reset") as (change, user, detail):
        if not factors_of(change.session, user.id).on:
            raise NothingToChange
        factors = forget_factors(change.session, user.id)
        removed = lock_out(auth, change, user, "second_factor_changed", added_since=lately(user, change.now))
        notify(auth.mailer, change.session, "second_factor_reset", user.email, change.now)
        detail.update({**removed.detail, "factors_removed": factors})


def give_tier(
    auth: Auth,
    set_tier: SetTier,
    whose: EmailAddress | UUID,
    tier: Tier,
    until: datetime | None,
    *,
    by: Staff | None = None,
) -> None:
    """`until` is aware; None for no end. Raises TierEndRefused."""
    if until is not None and tier is Tier.FREE:
        raise TierEndRefused("The free tier does not end")
    if until is not None and until <= auth.clock():
        raise TierEndRefused("The end must be in the future")
    with _changing(auth, whose, by, "tier_changed") as (change, user, detail):
        giver = OPERATOR if by is None else str(by.user_id)
        set_tier(change.session, user.id, tier, until, now=change.now, by=giver)
        detail.update({"tier": tier.value, "until": None if until is None else until.isoformat(), "source": "manual"})


def confirm_address(auth: Auth, user_id: UUID, by: Staff) -> None:
    """As if the owner had opened the link in the e-mail. Whoever does this knows that the address is the owner's."""
    with _changing(auth, user_id, by, "email_verified") as (_, user, _detail):
        if user.is_verified:
            raise NothingToChange
        user.is_verified = True


def revoke_key(auth: Auth, key_id: UUID, by: Staff) -> None:
    """Programs that use it stop within one request. Its owner made it, and can make another one."""
    with reading() as session:
        owner_id = session.scalars(select(ApiKey.user_id).where(ApiKey.id == key_id)).one_or_none()
    if owner_id is None:
        raise NotFound(NO_SUCH_KEY)
    with _changing(auth, owner_id, by, "api_key_revoked") as (change, _, detail):
        live = select(ApiKey).where(ApiKey.id == key_id, is_live(change.now))
        key = change.session.scalars(live).one_or_none()
        if key is None:
            raise NothingToChange
        key.revoked_at = change.now
        detail["key_id"] = str(key_id)


@contextmanager
def _changing(
    auth: Auth, whose: EmailAddress | UUID, by: Staff | None, event: str
) -> Iterator[tuple[AccountChange, User, dict[str, Any]]]:
    """The user, with the row locked, and a place for what the event says beside its name. `by` None: the operator."""
    with account_change(auth.states, auth.clock()) as change:
        user = change.hold(User.id == whose if isinstance(whose, UUID) else User.email_key == whose.key)
        if user is None:
            raise NotFound(NO_SUCH_ACCOUNT)
        if by is not None and not by.role.outranks(Role(user.role)):
            raise RoleNotBelowYours
        detail: dict[str, Any] = {"by": OPERATOR} if by is None else {"reason": by.reason}
        yield change, user, detail
        change.permission_changed(user.id)
        actor_id = None if by is None else by.user_id
        record(change.session, event, change.now, user_id=user.id, actor_id=actor_id, **detail)
