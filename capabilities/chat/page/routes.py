"""`/portal/chat`, which `/chat` leads to: the page, the token that its script calls the API with, and messages with their HTML."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from flask import Blueprint

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.page_token import token_of_page
from auth.page_sessions.pages import GIVES_DATA, SENDS_ON, PageQuery, SitePages, see_other, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from capabilities.chat.conversations.bodies import LONGEST_MESSAGE, MessageAnswer, MessagesQuery
from capabilities.chat.conversations.list_messages import list_messages
from capabilities.chat.models import MessageRole, MessageState
from capabilities.chat.page.bodies import ShownMessage, ShownMessages, ShownQuery
from capabilities.chat.page.markdown import rendered
from capabilities.chat.plan_limits import FEATURE
from capabilities.chat.replies.ended import failure_named
from capabilities.chat.replies.routes import shown
from security.api.answers import Page
from security.api.operation import Answer, Anyone, operation
from security.edge.problems import NotFound
from security.pages.html_page import page_policy

PATH: Final = f"{PORTAL.root}/{FEATURE}"
PAGE: Final = Page(
    f"{page_policy(scripts=True)}; require-trusted-types-for 'script'; trusted-types chat-markdown", forms=True
)
"""No text becomes markup in it but what `markdown.py` made (Trusted Types)."""


def chat_door() -> Blueprint:
    routes = Blueprint("chat_door", __name__)

    @operation(
        routes,
        "GET",
        "/chat",
        operation_id="open_chat",
        summary="Open the chat page",
        guard=Anyone("it leads to the page, which asks for a sign-in"),
        answers=SENDS_ON,
    )
    def open_chat() -> Answer:
        return see_other(PATH)

    return routes


def chat_pages(guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, FEATURE, __name__)

    def page() -> Answer:
        return show("chat_page.html", title="Chat", longest_message=LONGEST_MESSAGE)

    @operation(
        pages,
        "GET",
        "",
        operation_id="chat",
        summary="Chat",
        guard=guards(),
        query=PageQuery,
        answers={200: PAGE},
    )
    def chat(caller: Principal, query: PageQuery) -> Answer:
        return page()

    @operation(
        pages,
        "GET",
        "/<uuid:conversation_id>",
        operation_id="chat_in_conversation",
        summary="Chat in a conversation",
        guard=guards(),
        answers={200: PAGE},
    )
    def chat_in(caller: Principal, conversation_id: UUID) -> Answer:
        """The script finds out whether there is such a conversation."""
        return page()

    token_of_page(pages, guards, FEATURE)

    @operation(
        pages,
        "GET",
        "/<uuid:conversation_id>/messages",
        operation_id="shown_messages",
        summary="List the messages that are shown",
        guard=guards(metered=True),
        query=ShownQuery,
        answers=GIVES_DATA,
        problems=(NotFound,),
    )
    def messages(caller: Principal, conversation_id: UUID, query: ShownQuery) -> Answer:
        """Of the current branch, the last one first."""
        listed = list_messages(caller.user_id, conversation_id, MessagesQuery(cursor=query.cursor, limit=query.limit))
        return Answer(200, ShownMessages(messages=with_html(listed.messages), next_cursor=listed.next_cursor))

    @operation(
        pages,
        "GET",
        "/messages/<uuid:message_id>",
        operation_id="shown_message",
        summary="Get a message as it is shown",
        guard=guards(metered=True),
        answers=GIVES_DATA,
        problems=(NotFound,),
    )
    def message(caller: Principal, message_id: UUID) -> Answer:
        [found] = with_html([shown(caller.user_id, message_id)])
        return Answer(200, found)

    return pages


def with_html(messages: Sequence[MessageAnswer]) -> list[ShownMessage]:
    ended = [each for each in messages if each.role is MessageRole.ASSISTANT and not each.state.running]
    html = dict(zip((each.id for each in ended), rendered([each.content for each in ended]), strict=True))
    return [
        ShownMessage(
            **{name: getattr(each, name) for name in MessageAnswer.model_fields},
            html=html.get(each.id),
            failure=failure_named(each.error).detail if each.state is MessageState.FAILED else None,
        )
        for each in messages
    ]
