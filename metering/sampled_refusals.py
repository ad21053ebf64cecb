"""Which refusals of the limits leave a row in the log of calls: the first in a minute, of each user, feature and policy."""

import hashlib
import threading
from datetime import datetime
from uuid import UUID

from auth.bounded_cache import BoundedCache
from database.base import VERSION_7, VERSION_AND_VARIANT


class SampledRefusals:
    """For one process. The row's id is the same in all of them, so together they leave one row too."""

    def __init__(self, *, remembered: int = 8192) -> None:
        self._seen: BoundedCache[tuple[UUID, str, str], int] = BoundedCache(remembered)
        self._lock = threading.Lock()

    def sample(self, user_id: UUID, feature: str, policy: str, now: datetime) -> UUID | None:
        """The id of the row to write; None when this minute has one."""
        minute = int(now.timestamp()) // 60
        subject = (user_id, feature, policy)
        with self._lock:
            if self._seen.get(subject) == minute:
                return None
            self._seen.put(subject, minute)
        # A version 7 UUID (RFC 9562, 5.7) of the minute's beginning, with a hash in place of what is random.
        digest = hashlib.sha256(f"{user_id} {feature} {policy}".encode()).digest()[:10]
        value = (minute * 60_000) << 80 | int.from_bytes(digest, "big")
        return UUID(int=value & ~VERSION_AND_VARIANT | VERSION_7)
