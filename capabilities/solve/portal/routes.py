"""`/portal/solve`: a form that solves a picture. It is a call like any other: metered, limited and charged."""

from hashlib import sha256
from typing import Annotated
from uuid import UUID, uuid4

from flask import Blueprint
from pydantic import Field

from auth.page_sessions.guards import FormWithFiles, PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from capabilities.solve.bodies import DEFAULT_PROMPT, AnswerFormat, SolveAnswer, SolveFields
from capabilities.solve.plan_limits import FEATURE, LARGEST_PICTURE
from capabilities.solve.routes import LARGEST_BODY, SOLVE_PROBLEMS, picture_of
from capabilities.solve.solve_picture import PictureSolver, Question
from database.base import Clock
from security.api.models import FilledIn
from security.api.multipart import FilePart, Form
from security.api.operation import Answer, operation
from security.api.slots import Slots
from security.api.typed_text import NOT_BLANK


class TryForm(FilledIn):
    """`attempt`: of the page that showed the form. Sent again with the same content, it is the same call."""

    attempt: UUID
    prompt: Annotated[str, Field(max_length=4000), NOT_BLANK] = DEFAULT_PROMPT
    format: AnswerFormat = "text"


def try_pages(solver: PictureSolver, clock: Clock, slots: Slots, guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, FEATURE, __name__)

    def shown(caller: Principal, answer: SolveAnswer | None) -> Answer:
        plan = solver.plans[caller.tier]
        return show(
            "solve_try.html",
            title="Try image solving",
            price_cents=solver.prices.now()[caller.tier],
            plan=plan,
            largest_mib=plan.largest_picture // 2**20,
            seconds=round(solver.provider_seconds),
            attempt=uuid4(),
            default_prompt=DEFAULT_PROMPT,
            solution=answer,
        )

    @operation(
        pages,
        "GET",
        "",
        operation_id="try_form",
        summary="Try image solving",
        guard=guards(),
        query=PageQuery,
        answers=SHOWS,
    )
    def form(caller: Principal, query: PageQuery) -> Answer:
        return shown(caller, None)

    @operation(
        pages,
        "POST",
        "",
        operation_id="try",
        summary="Solve a picture",
        guard=guards(uploads=True, metered=True),
        within=slots,
        body=FormWithFiles(
            {"image": FilePart((), LARGEST_PICTURE)}, TryForm, LARGEST_BODY, most_parts=10, sessions=guards.sessions
        ),
        answers=SHOWS,
        problems=SOLVE_PROBLEMS,
    )
    def solve(caller: Principal, body: Form) -> Answer:
        picture, typed = picture_of(body), body.fields
        fields = SolveFields(prompt=typed.prompt, format=typed.format)
        content = sha256(b"\0".join((fields.prompt.encode(), fields.format.encode(), picture.data))).hexdigest()
        key = f"portal-{typed.attempt}-{content[:32]}"
        solved = solver.solve(caller, Question(picture, fields, solver.model_named(None, clock()), key))
        return shown(caller, SolveAnswer.model_validate_json(solved.body))

    return pages
