"""`conversation:updated`, to all sockets of a user: their list of conversations stays true without asking."""

from typing import Final
from uuid import UUID

from capabilities.chat.conversations.list_conversations import read_conversation
from capabilities.chat.sockets.bodies import ConversationUpdated
from metering.sockets import Sockets
from security.edge.problems import NotFound

EVENT: Final = "conversation:updated"


class Updates:
    """On the loop of the sockets. What changes again while it is read is read again, so that the last one told is the newest."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._read: dict[UUID, bool] = {}
        """Those that are being read, and whether they must be once more."""

    def changed(self, user_id: UUID, conversation_id: UUID | None) -> None:
        """`conversation_id` is None where several may have changed."""
        if not self._sockets.of_user(user_id):
            return
        if conversation_id is None:
            self._tell(user_id, ConversationUpdated(conversation_id=None))
        elif conversation_id in self._read:
            self._read[conversation_id] = True
        else:
            self._read[conversation_id] = True
            self._sockets.start(self._follow(user_id, conversation_id))

    def anything_may_have_changed(self) -> None:
        for user_id in {socket.caller.user_id for socket in self._sockets.all()}:
            self.changed(user_id, None)

    async def _follow(self, user_id: UUID, conversation_id: UUID) -> None:
        try:
            while self._read[conversation_id]:
                self._read[conversation_id] = False
                self._tell(user_id, await self._sockets.blocking(_told_of, user_id, conversation_id))
        finally:
            del self._read[conversation_id]

    def _tell(self, user_id: UUID, told: ConversationUpdated) -> None:
        for socket in self._sockets.of_user(user_id):
            socket.emit(EVENT, told.model_dump(mode="json"))


def _told_of(user_id: UUID, conversation_id: UUID) -> ConversationUpdated:
    try:
        conversation = read_conversation(user_id, conversation_id)
    except NotFound:
        return ConversationUpdated(conversation_id=conversation_id, deleted=True)
    return ConversationUpdated(conversation_id=conversation_id, conversation=conversation)
