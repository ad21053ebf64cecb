"""Changing what a request's permission hangs on: account_state.py says what that is. Only this file raises the version of a
user's state and says afterwards that it changed; payments, which gives the tier, has the same seam in grant_tier.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnExpressionArgument, select, update
from sqlalchemy.orm import Session

from auth.account_state import ACCOUNT_CHANGED, AccountStates
from auth.models import AuthSession, User
from database import transaction
from database.notify import notify
from security.edge.problems import InvalidToken, Problem


@dataclass(frozen=True)
class AccountChange:
    """A transaction that changes accounts. Whatever ends a session or a key takes it, not a bare session."""

    session: Session
    now: datetime
    raised: dict[UUID, int] = field(default_factory=dict)
    announced_again: dict[UUID, int] = field(default_factory=dict)

    def hold(self, *whose: ColumnExpressionArgument[bool]) -> User | None:
        """The one user of whom this is true, with the row locked; None when there is no such user.

        Every command locks the user's row before any row of `sessions` or of what else the user has, so that no two of them
        wait for each other. FOR NO KEY UPDATE: rows that name the user can still be inserted.
        """
        query = select(User).where(*whose).with_for_update(key_share=True).execution_options(populate_existing=True)
        return self.session.scalars(query).one_or_none()

    def permission_changed(self, user_id: UUID) -> None:
        """Raise the version of the user's state, once in this transaction; older copies are dropped after the commit."""
        if user_id in self.raised:
            return
        version = self.session.execute(
            update(User)
            .where(User.id == user_id)
            .values(state_version=User.state_version + 1, updated_at=self.now)
            .returning(User.state_version)
        ).scalar_one_or_none()
        if version is not None:
            self.raised[user_id] = version
            notify(self.session, ACCOUNT_CHANGED, f"{user_id} {version}")

    def announce_again(self, user: User) -> None:
        """For a command that was done before: its process may have stopped between the commit and dropping the copies."""
        self.announced_again[user.id] = user.state_version


class Refused(Exception):
    """Ends an `account_change` with a problem, and keeps what was written: a try that was counted, or a spent challenge."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@contextmanager
def account_change(states: AccountStates, now: datetime) -> Iterator[AccountChange]:
    """A transaction in which accounts change. What changed is announced after its commit, and not when it is rolled back.

    `Refused` is the one exception that does not roll it back; its problem is raised after the commit.
    """
    refusal = None
    with transaction() as session:
        change = AccountChange(session, now)
        try:
            yield change
        except Refused as refused:
            refusal = refused.problem
    for user_id, version in (change.announced_again | change.raised).items():
        states.changed(user_id, version)
    if refusal is not None:
        raise refusal


def hold_account(session: Session, user_id: UUID, session_id: UUID | None = None) -> User:
    """The user, with the row locked. Raises InvalidToken when there is no such user any more.

    `session_id`: for a change that lets somebody in, the caller's session is asked for once more. A request that was let in,
    and waited for the row while its owner locked it out, must leave nothing behind: InvalidToken when the session has ended.
    """
    user = session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if user is None:
        raise InvalidToken
    if session_id is not None:
        living = select(AuthSession.id).where(AuthSession.id == session_id, AuthSession.revoked_at.is_(None))
        if session.scalars(living.where(AuthSession.user_id == user_id)).one_or_none() is None:
            raise InvalidToken
    return user
