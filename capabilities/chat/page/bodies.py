"""What the page's script asks for beside the public API."""

from capabilities.chat.conversations.bodies import MessageAnswer
from security.api.cursor import ListAnswer, ListQuery


class ShownMessage(MessageAnswer):
    """`html`: of a reply that has ended. None where it would take too long to make, and of what the user wrote: that is text."""

    html: str | None
    failure: str | None
    """Why the reply failed, in words."""


class ShownMessages(ListAnswer):
    messages: list[ShownMessage]


class ShownQuery(ListQuery):
    pass
