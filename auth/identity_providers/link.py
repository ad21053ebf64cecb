"""Linking an Apple or Google account: it can sign in from then on."""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.identity_providers.bodies import IdentityAnswer, LinkIdentityBody
from auth.identity_providers.id_token import ProvenIdentity
from auth.identity_providers.keep_apple_token import exchange_later
from auth.mail.notices import notify
from auth.models import Identity, User
from auth.principal import Principal
from database import transaction
from database.base import uuid7
from security.edge.problems import Problem


class IdentityTaken(Problem):
    status, error, title = 409, "identity_taken", "This Apple or Google account is already linked to another account"


def link_identity(auth: Auth, caller: Principal, proven: ProvenIdentity, body: LinkIdentityBody) -> IdentityAnswer:
    """Its e-mail address does not matter: the caller has proved both accounts. Linking again changes nothing.

    Raises IdentityTaken, and InvalidToken when the session has ended or the user is gone.
    """
    now = auth.clock()
    with transaction() as session:
        user = hold_account(session, caller.user_id, caller.session_id)
        identity, made = insert_identity(session, proven, user, now)
        if identity.user_id != user.id:
            raise IdentityTaken
        exchange_later(auth, session, proven, body)
        if made:
            record(
                session,
                "identity_linked",
                now,
                user_id=user.id,
                session_id=caller.session_id,
                method=proven.provider,
            )
            notify(auth.mailer, session, "identity_linked", user.email, now)
        return IdentityAnswer.model_validate(identity, from_attributes=True)


def insert_identity(session: Session, proven: ProvenIdentity, user: User, now: datetime) -> tuple[Identity, bool]:
    """The identity, and whether it was not linked before; it may be another user's."""
    made = session.scalars(
        insert(Identity)
        .values(id=uuid7(), provider=proven.provider, subject=proven.subject, user_id=user.id, created_at=now)
        .on_conflict_do_nothing(index_elements=[Identity.provider, Identity.subject])
        .returning(Identity)
    ).one_or_none()
    return made or session.get_one(Identity, (proven.provider, proven.subject)), made is not None
