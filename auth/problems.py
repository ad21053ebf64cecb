"""Refusals that several ways to sign in or to change an account have in common."""

from auth.models import User
from security.edge.problems import Problem


class InvalidCredentials(Problem):
    """One answer for an unknown address, a wrong password and an account without one."""

    status, error, title = 401, "invalid_credentials", "E-mail address and password do not match"

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="mirroros"'})


class AccountDisabled(Problem):
    """Said only to someone who knew the password."""

    status, error, title = 403, "account_disabled", "This account is switched off"


class AccountClosing(AccountDisabled):
    """The owner closed it, and can still have it back. `delete_after` says until when."""

    error, title = "account_closing", "This account is closed and will be deleted; it can still be restored"


def why_switched_off(user: User) -> AccountDisabled:
    """For an account that is not active."""
    if user.delete_after is None:
        return AccountDisabled()
    return AccountClosing(delete_after=user.delete_after.isoformat())


class EmailTaken(Problem):
    status, error, title = 409, "email_taken", "There is an account with this e-mail address already"
