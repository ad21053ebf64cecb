"""`/portal/terminal`, which `/terminal` leads to: the page, and the token that its script calls the API with."""

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.page_token import token_of_page
from auth.page_sessions.pages import SENDS_ON, PageQuery, SitePages, see_other, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from capabilities.terminal.plan_limits import FEATURE
from security.api.answers import Page
from security.api.operation import Answer, Anyone, operation
from security.pages.html_page import page_policy

PATH: Final = f"{PORTAL.root}/{FEATURE}"


def terminal_door() -> Blueprint:
    routes = Blueprint("terminal_door", __name__)

    @operation(
        routes,
        "GET",
        "/terminal",
        operation_id="open_terminal",
        summary="Open the terminal page",
        guard=Anyone("it leads to the page, which asks for a sign-in"),
        answers=SENDS_ON,
    )
    def open_terminal() -> Answer:
        return see_other(PATH)

    return routes


def terminal_pages(ws_url: str, guards: PageGuards) -> Blueprint:
    """`ws_url`: where its script opens a socket. No text becomes markup there (Trusted Types), whatever a server writes."""
    pages = SitePages(PORTAL, FEATURE, __name__)
    socket = urlsplit(ws_url)
    policy = page_policy(scripts=True, sockets=[f"{socket.scheme}://{socket.netloc}"])

    @operation(
        pages,
        "GET",
        "",
        operation_id="terminal",
        summary="Terminal",
        guard=guards(),
        query=PageQuery,
        answers={200: Page(f"{policy}; require-trusted-types-for 'script'; trusted-types 'none'", forms=True)},
    )
    def terminal(caller: Principal, query: PageQuery) -> Answer:
        return show("terminal_page.html", title="Terminal", ws_url=ws_url)

    @operation(
        pages,
        "GET",
        "/confirm",
        operation_id="confirm_for_terminal",
        summary="Confirm it's you, and go on",
        guard=guards(fresh=True),
        answers=SENDS_ON,
    )
    def confirm(caller: Principal) -> Answer:
        """To add a key, people must have proved who they are within the last minutes; the guard asks for it."""
        return see_other(PATH)

    token_of_page(pages, guards, FEATURE)
    return pages
