"""Stopping a reply, whichever process generates it."""

from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from capabilities.chat.replies import rows
from capabilities.chat.replies.follow import Follow
from capabilities.chat.replies.running import RunningReplies
from database import transaction

STOPPED_WITHIN_SECONDS: Final = 3.0
"""Its process asks each second, and then has to count it."""


@dataclass(frozen=True)
class StopReply:
    running: RunningReplies
    follow: Follow

    def request(self, user_id: UUID, message_id: UUID) -> None:
        """Does nothing where there is no such reply, or no more."""
        with transaction() as session:
            is_running = rows.request_stop(session, user_id, message_id)
        if is_running:
            self.running.stop(message_id)

    def stop(self, user_id: UUID, message_id: UUID) -> None:
        """Back when it has stopped or ended, or after a while. Raises NotFound."""
        self.request(user_id, message_id)
        reader = self.follow.reader(user_id, message_id)
        try:
            until = monotonic() + STOPPED_WITHIN_SECONDS
            while reader.ended is None and (left := until - monotonic()) > 0:
                reader.read(left)
        finally:
            reader.close()
