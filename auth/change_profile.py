"""Changing what a user may change of the own profile."""

from uuid import UUID

from auth.assembly import Auth
from auth.models import User
from auth.read_profile import Profile, profile_of
from database import transaction
from security.edge.problems import InvalidToken


def change_display_name(auth: Auth, user_id: UUID, display_name: str | None) -> Profile:
    """None takes the name away. Raises InvalidToken when the user is gone."""
    now = auth.clock()
    with transaction() as session:
        user = session.get(User, user_id, with_for_update={"key_share": True})
        if user is None:
            raise InvalidToken
        user.display_name, user.updated_at = display_name, now
        return profile_of(user, now)
