"""Refusals that several ways to sign in or to change an account have in common."""

from auth.models import User
from security.edge.problems import Problem, Unauthorized


class InvalidCredentials(Unauthorized):
    """One answer for an unknown address, a wrong password and an account without one."""

    error, title = "invalid_credentials", "The e-mail address or the password is wrong"


class AccountDisabled(Problem):
    """Said only to someone who knew the password."""

    status, error, title = 403, "account_disabled", "This account is disabled"


class AccountClosing(AccountDisabled):
    """The owner closed it, and can still have it back. `delete_after` says until when."""

    error, title = "account_closing", "This account is closed. You can restore it until it is deleted"


def why_disabled(user: User) -> AccountDisabled:
    """For an account that is not active."""
    if user.delete_after is None:
        return AccountDisabled()
    return AccountClosing(delete_after=user.delete_after.isoformat())


class EmailNotVerified(Problem):
    status, error, title = 403, "email_not_verified", "Confirm your e-mail address first"

    def __init__(self) -> None:
        super().__init__("Use the link in our e-mail, or POST /api/auth/resend-verification to get another one")


class EmailTaken(Problem):
    status, error, title = 409, "email_taken", "An account already uses this e-mail address"


class UsernameTaken(Problem):
    status, error, title = 409, "username_taken", "Another account already uses this username"
