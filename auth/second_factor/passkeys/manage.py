"""The passkeys of an account: seeing, naming and deleting them."""

from uuid import UUID

from sqlalchemy import delete, select, update

from auth.assembly import Auth
from auth.models import User
from auth.principal import Principal
from auth.second_factor.bodies import PasskeyAnswer
from auth.second_factor.factors import changing_factors, forget_codes_without_factor
from auth.second_factor.models import Passkey
from auth.second_factor.ways_to_sign_in import refuse_without_way_in
from database import reading, transaction
from database.pages import Page, newest_first, page_of
from security.api.cursor import ListQuery
from security.edge.problems import NotFound


def list_passkeys(user_id: UUID, asked: ListQuery) -> Page[PasskeyAnswer]:
    """The newest first."""
    query = select(Passkey).where(Passkey.user_id == user_id)
    with reading() as session:
        rows = session.scalars(newest_first(query, Passkey.id, asked.cursor, asked.limit))
        return page_of([PasskeyAnswer.model_validate(row, from_attributes=True) for row in rows], asked.limit)


def rename_passkey(user_id: UUID, passkey_id: UUID, name: str) -> PasskeyAnswer:
    """Raises NotFound, also for somebody else's."""
    with transaction() as session:
        row = session.scalars(
            update(Passkey)
            .where(Passkey.id == passkey_id, Passkey.user_id == user_id)
            .values(name=name)
            .returning(Passkey)
        ).one_or_none()
        if row is None:
            raise NotFound
        return PasskeyAnswer.model_validate(row, from_attributes=True)


def delete_passkey(auth: Auth, caller: Principal, passkey_id: UUID) -> None:
    """Raises NotFound, also for somebody else's, and LastWayToSignIn."""
    with changing_factors(auth, caller, "passkey_removed") as change:
        gone = change.session.execute(
            delete(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == caller.user_id).returning(Passkey.id)
        )
        if gone.one_or_none() is None:
            raise NotFound
        refuse_without_way_in(change.session, change.session.get_one(User, caller.user_id))
        forget_codes_without_factor(change.session, caller.user_id)
