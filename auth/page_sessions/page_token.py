"""The token that the script of a product's page calls the API with."""

from flask import Blueprint

from auth.page_sessions.guards import PageGuards, visitor
from auth.page_sessions.pages import GIVES_DATA
from auth.principal import Principal
from security.api.models import AnswerBody
from security.api.operation import Answer, operation


class PageToken(AnswerBody):
    access_token: str
    expires_in: int
    """Seconds."""


def token_of_page(pages: Blueprint, guards: PageGuards, scope: str) -> None:
    """`POST <page>/token`. The token opens what is of that scope, and nothing else (docs/decisions/0032-the-chat-page.md)."""

    @operation(
        pages,
        "POST",
        "/token",
        operation_id=f"token_of_{scope}",
        summary="Get the token of the page",
        guard=guards(),
        answers=GIVES_DATA,
    )
    def token(caller: Principal) -> Answer:
        admitted = visitor()
        assert admitted is not None  # nosec B101 - the guard let it in
        issued = guards.sessions.token_for(admitted, scope)
        return Answer(200, PageToken(access_token=issued.text, expires_in=issued.expires_in))
