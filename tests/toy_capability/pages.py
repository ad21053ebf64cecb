"""The page of toys in the dashboard."""

from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import delete, func, select

from auth.assembly import Auth
from auth.audit.record import record
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from database import reading, transaction
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from tests.toy_capability.models import Toy


class ToysQuery(PageQuery):
    user_id: UUID | None = None


class TakeAway(FilledIn):
    reason: str = Field(min_length=10, max_length=500)


def toy_pages(auth: Auth, guards: PageGuards) -> Blueprint:
    pages = SitePages(ADMIN, "toys", __name__, done={"taken": "The toys are gone."})

    @operation(pages, "GET", "", operation_id="toys", summary="Toys", guard=guards(), query=ToysQuery, answers=SHOWS)
    def toys(caller: Principal, query: ToysQuery) -> Answer:
        with reading() as session:
            count = session.scalars(select(func.count()).select_from(Toy)).one()
        return show("toy_list.html", title="Toys", count=count)

    def take_form(caller: Principal, user_id: UUID) -> Answer:
        return show("toy_take.html", title="Take toys away")

    def take(caller: Principal, user_id: UUID, body: TakeAway) -> Answer:
        with transaction() as session:
            session.execute(delete(Toy).where(Toy.user_id == user_id))
            record(session, "toys_taken", auth.clock(), user_id=user_id, actor_id=caller.user_id, reason=body.reason)
        return see_other("/admin/toys", "taken")

    act_with_form(
        pages,
        "/<uuid:user_id>/take",
        operation_ids=("take_form", "take"),
        summary="Take toys away",
        guard=guards(Role.ADMIN, fresh=True),
        form=take_form,
        act=take,
        body=Form(TakeAway),
        problems=(NotFound,),
    )
    return pages
