"""The Apple and Google accounts that can sign in to an account: seeing, linking and unlinking them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.account_change import account_change, hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.identity_providers.bodies import IdentityAnswer, LinkIdentityBody
from auth.identity_providers.id_token import ProvenIdentity
from auth.identity_providers.keep_apple_token import exchange_later
from auth.lock_out.lock_out import lock_out
from auth.mail.notices import notify
from auth.models import Identity, User
from auth.principal import Principal
from auth.second_factor.ways_to_sign_in import refuse_without_way_in
from database import reading, transaction
from database.base import uuid7
from database.pages import Page, newest_first, page_of
from security.api.cursor import ListQuery
from security.edge.problems import NotFound, Problem


class IdentityTaken(Problem):
    status, error, title = 409, "identity_taken", "This Apple or Google account is already linked to another account"


def list_identities(user_id: UUID, asked: ListQuery) -> Page[IdentityAnswer]:
    """The newest first."""
    query = select(Identity).where(Identity.user_id == user_id)
    with reading() as session:
        rows = session.scalars(newest_first(query, Identity.id, asked.cursor, asked.limit))
        return page_of([IdentityAnswer.model_validate(row, from_attributes=True) for row in rows], asked.limit)


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
