"""Signing out everywhere, or everywhere else, and taking away what was added since somebody else was in."""

from datetime import datetime
from uuid import UUID

from auth.account_change import account_change
from auth.assembly import Auth
from auth.audit.record import record
from auth.lock_out.lock_out import after_registering, lock_out
from auth.mail.notices import notify
from auth.models import User
from security.edge.problems import InvalidToken


def end_all_sessions(auth: Auth, user_id: UUID, *, keep: UUID | None, added_since: datetime | None = None) -> int:
    """How many ended. `keep` is the one that stays. What was added since `added_since` and lets somebody in goes too, which
    takes a caller who has just proved who it is. Raises InvalidToken when the user is gone.
    """
    now = auth.clock()
    with account_change(auth.states, now) as change:
        user, session = change.hold(User.id == user_id), change.session
        if user is None:
            raise InvalidToken
        since = None if added_since is None else after_registering(user, added_since)
        removed = lock_out(auth, change, user, "revoked", keep_session=keep, added_since=since)
        record(session, "sessions_revoked", now, user_id=user_id, session_id=keep, count=removed.sessions)
        if added_since is not None:
            detail = {**removed.detail, "added_since": added_since.isoformat()}
            record(session, "added_access_removed", now, user_id=user_id, session_id=keep, **detail)
            notify(auth.mailer, session, "added_access_removed", user.email, now)
    return removed.sessions
