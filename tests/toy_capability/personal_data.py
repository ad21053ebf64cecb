from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, rows_of
from tests.toy_capability.models import Toy


def export_toys(session: Session, user_id: UUID) -> dict[str, Any]:
    return {"toys": rows_of(session, select(Toy.id, Toy.wound_at).where(Toy.user_id == user_id))}


def erase_toys(session: Session, user_id: UUID) -> int:
    erased: int = session.execute(delete(Toy).where(Toy.user_id == user_id)).rowcount  # type: ignore[attr-defined]
    return erased


TOY_DATA = PersonalData("toy", export_toys, erase=erase_toys)
