"""`/conversations`, what is in them, and the search, under /api/gateway."""

from typing import Final
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.principal import Caller, Principal
from capabilities.chat.admit import Admission
from capabilities.chat.conversations.bodies import (
    AllQuery,
    ChangeConversationBody,
    ChangeMessageBody,
    ConversationAnswer,
    ConversationExport,
    ConversationsAnswer,
    ConversationsQuery,
    ExportFormat,
    ExportQuery,
    MessageAnswer,
    MessagesAnswer,
    MessagesQuery,
    NewConversationBody,
    SearchAnswer,
    SearchQuery,
)
from capabilities.chat.conversations.change import change_conversation
from capabilities.chat.conversations.change_message import change_message
from capabilities.chat.conversations.check_defaults import DEFAULTS_PROBLEMS, check_defaults
from capabilities.chat.conversations.delete import delete_all, delete_conversation
from capabilities.chat.conversations.delete_message import delete_message
from capabilities.chat.conversations.export import export_conversation
from capabilities.chat.conversations.list_conversations import list_conversations, read_conversation
from capabilities.chat.conversations.list_messages import list_messages
from capabilities.chat.conversations.make import make_conversation
from capabilities.chat.conversations.problems import ReplyRunning
from capabilities.chat.conversations.search import search
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.api.streams import TextFile
from security.edge.problems import NotFound

LARGEST_BODY: Final = 256 * 1024
MEDIA_TYPES: Final = {ExportFormat.JSON: "application/json", ExportFormat.MARKDOWN: "text/markdown; charset=utf-8"}
ENDINGS: Final = {ExportFormat.JSON: "json", ExportFormat.MARKDOWN: "md"}


def conversation_routes(auth: Auth, guard: Guard, admission: Admission) -> Blueprint:
    routes = Blueprint("conversations", __name__, url_prefix="/api/gateway")

    @operation(
        routes,
        "GET",
        "/conversations",
        operation_id="listConversations",
        summary="List your conversations",
        guard=guard,
        query=ConversationsQuery,
        answers={200: ConversationsAnswer},
    )
    def conversations(caller: Caller, query: ConversationsQuery) -> Answer:
        """Returns the conversation with the newest message first."""
        return Answer(200, list_conversations(caller.user_id, query))

    @operation(
        routes,
        "POST",
        "/conversations",
        operation_id="createConversation",
        summary="Create a conversation",
        guard=guard,
        body=Json(NewConversationBody, limit=LARGEST_BODY),
        answers={201: ConversationAnswer},
        problems=DEFAULTS_PROBLEMS,
    )
    def create(caller: Caller, body: NewConversationBody) -> Answer:
        """You need not create one first: a message without a `conversation_id` begins a conversation of its own."""
        check_defaults(admission, caller.tier, body)
        return Answer(201, make_conversation(caller.user_id, body, auth.clock()))

    @operation(
        routes,
        "DELETE",
        "/conversations",
        operation_id="deleteConversations",
        summary="Delete all your conversations",
        guard=auth.recently_signed_in,
        query=AllQuery,
    )
    def delete_every(caller: Principal, query: AllQuery) -> None:
        """Deletes every conversation with its messages, also archived ones. They cannot be restored."""
        delete_all(caller.user_id, auth.clock())

    @operation(
        routes,
        "GET",
        "/conversations/<uuid:conversation_id>",
        operation_id="getConversation",
        summary="Get a conversation",
        guard=guard,
        answers={200: ConversationAnswer},
        problems=(NotFound,),
    )
    def conversation(caller: Caller, conversation_id: UUID) -> Answer:
        """Returns it without its messages."""
        return Answer(200, read_conversation(caller.user_id, conversation_id))

    @operation(
        routes,
        "PATCH",
        "/conversations/<uuid:conversation_id>",
        operation_id="changeConversation",
        summary="Change a conversation",
        guard=guard,
        body=Json(ChangeConversationBody, limit=LARGEST_BODY),
        answers={200: ConversationAnswer},
        problems=(NotFound, *DEFAULTS_PROBLEMS),
    )
    def change(caller: Caller, conversation_id: UUID, body: ChangeConversationBody) -> Answer:
        """Renames, pins or archives it, shows another branch, or changes how its next messages are answered."""
        check_defaults(admission, caller.tier, body)
        return Answer(200, change_conversation(caller.user_id, conversation_id, body, auth.clock()))

    @operation(
        routes,
        "DELETE",
        "/conversations/<uuid:conversation_id>",
        operation_id="deleteConversation",
        summary="Delete a conversation",
        guard=guard,
        problems=(NotFound,),
    )
    def delete(caller: Caller, conversation_id: UUID) -> None:
        """Deletes it with its messages. It cannot be restored. A reply that is being written is stopped."""
        delete_conversation(caller.user_id, conversation_id)

    @operation(
        routes,
        "GET",
        "/conversations/<uuid:conversation_id>/messages",
        operation_id="listConversationMessages",
        summary="List the messages of a conversation",
        guard=guard,
        query=MessagesQuery,
        answers={200: MessagesAnswer},
        problems=(NotFound,),
    )
    def messages(caller: Caller, conversation_id: UUID, query: MessagesQuery) -> Answer:
        """Returns the current branch, the last message first, or every message with `branch=all`."""
        return Answer(200, list_messages(caller.user_id, conversation_id, query))

    @operation(
        routes,
        "GET",
        "/conversations/<uuid:conversation_id>/export",
        operation_id="exportConversation",
        summary="Download a conversation",
        guard=guard,
        query=ExportQuery,
        answers={200: (TextFile("application/json", ConversationExport), TextFile("text/markdown"))},
        problems=(NotFound,),
    )
    def export(caller: Caller, conversation_id: UUID, query: ExportQuery) -> Answer:
        """Returns every branch as JSON, or the current branch as Markdown, to be read by people."""
        pieces = export_conversation(caller.user_id, conversation_id, query.format)
        name = f"conversation-{conversation_id}.{ENDINGS[query.format]}"
        headers = {
            "Content-Type": MEDIA_TYPES[query.format],
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        return Answer(200, pieces, headers)

    @operation(
        routes,
        "GET",
        "/chat/search",
        operation_id="searchChatMessages",
        summary="Search your messages",
        guard=guard,
        query=SearchQuery,
        answers={200: SearchAnswer},
    )
    def find(caller: Caller, query: SearchQuery) -> Answer:
        """Finds whole words in what you and the models wrote, the newest message first. A reply is found once it has ended."""
        return Answer(200, search(caller.user_id, query))

    @operation(
        routes,
        "PATCH",
        "/chat/messages/<uuid:message_id>",
        operation_id="changeChatMessage",
        summary="Rate a reply, or edit a message of yours",
        guard=guard,
        body=Json(ChangeMessageBody, limit=LARGEST_BODY),
        answers={200: MessageAnswer},
        problems=(NotFound, ReplyRunning),
    )
    def change_one(caller: Caller, message_id: UUID, body: ChangeMessageBody) -> Answer:
        """An edit changes the message in place and asks for no new reply."""
        return Answer(200, change_message(caller.user_id, message_id, body.root, auth.clock()))

    @operation(
        routes,
        "DELETE",
        "/chat/messages/<uuid:message_id>",
        operation_id="deleteChatMessage",
        summary="Delete a message",
        guard=guard,
        problems=(NotFound, ReplyRunning),
    )
    def delete_one(caller: Caller, message_id: UUID) -> None:
        """Deletes it with everything that follows it. The conversation then shows another version of it, or ends before it."""
        delete_message(caller.user_id, message_id, auth.clock())

    return routes
