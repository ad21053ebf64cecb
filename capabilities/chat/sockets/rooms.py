"""The conversations that a socket has joined: it is told of the replies in them."""

from uuid import UUID

from capabilities.chat.sockets.problems import MOST_JOINED, NotJoined, TooManyJoined
from metering.sockets import Socket

JOINED = "conversations"


def room_of(conversation_id: UUID) -> str:
    return f"conversation:{conversation_id}"


def join(socket: Socket, conversation_id: UUID) -> None:
    """Whether it is the user's, the caller asks. Raises TooManyJoined."""
    joined = _joined(socket)
    if conversation_id not in joined:
        check_room(socket)
    joined.add(conversation_id)
    socket.join(room_of(conversation_id))


def leave(socket: Socket, conversation_id: UUID) -> None:
    _joined(socket).discard(conversation_id)
    socket.leave(room_of(conversation_id))


def check_room(socket: Socket) -> None:
    """For one conversation more. Raises TooManyJoined."""
    if len(_joined(socket)) >= MOST_JOINED:
        raise TooManyJoined


def check_joined(socket: Socket, conversation_id: UUID) -> None:
    """Raises NotJoined."""
    if not socket.joined(room_of(conversation_id)):
        raise NotJoined


def _joined(socket: Socket) -> set[UUID]:
    joined: set[UUID] = socket.kept.setdefault(JOINED, set())
    return joined
