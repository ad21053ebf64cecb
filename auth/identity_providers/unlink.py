"""Unlinking an Apple or Google account: it can no longer sign in."""

from uuid import UUID

from sqlalchemy import delete

from auth.account_change import account_change, hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.lock_out.lock_out import lock_out
from auth.mail.notices import notify
from auth.models import Identity
from auth.principal import Principal
from auth.second_factor.ways_to_sign_in import refuse_without_way_in
from security.edge.problems import NotFound


def unlink_identity(auth: Auth, caller: Principal, identity_id: UUID) -> None:
    """All other sessions end, because whoever signed in with it must not stay.

    Raises NotFound, also for somebody else's, LastWayToSignIn, and InvalidToken when the session has ended or the user is gone.
    """
    now = auth.clock()
    with account_change(auth.states, now) as change:
        session = change.session
        user = hold_account(session, caller.user_id, caller.session_id)
        provider = session.execute(
            delete(Identity).where(Identity.id == identity_id, Identity.user_id == user.id).returning(Identity.provider)
        ).scalar_one_or_none()
        if provider is None:
            raise NotFound
        refuse_without_way_in(session, user)
        lock_out(auth, change, user, "identity_unlinked", keep_session=caller.session_id)
        record(session, "identity_unlinked", now, user_id=user.id, session_id=caller.session_id, method=provider)
        notify(auth.mailer, session, "identity_unlinked", user.email, now)
