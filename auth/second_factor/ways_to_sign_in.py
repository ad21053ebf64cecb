"""What somebody can sign in with. The last of it is not removed: its owner would be shut out."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from auth.models import Identity, User
from auth.second_factor.models import Passkey
from security.edge.problems import Problem


class LastWayToSignIn(Problem):
    status, error = 409, "last_way_to_sign_in"
    title = (
        "This is your only way to sign in. Add a passkey, link Apple or Google, or set a password with “Forgot your password?”"
        " first"
    )


def refuse_without_way_in(session: Session, user: User) -> None:
    """Asked after the removal, in its transaction, which holds the user's row. Raises LastWayToSignIn."""
    if user.password_hash is not None:
        return
    for table in (Identity, Passkey):
        if session.scalars(select(select(table).where(table.user_id == user.id).exists())).one():
            return
    raise LastWayToSignIn
