"""Why a socket ends."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Closing:
    """`code`: of the WebSocket's close (RFC 6455, 7.4). `for_good`: a client of Socket.IO is told not to come back by itself, because
    the same would happen again.
    """

    reason: str
    code: int
    for_good: bool = True


LEFT: Final = Closing("left", 1000, for_good=False)
LOST: Final = Closing("lost", 1001, for_good=False)
RESTART: Final = Closing("restart", 1012, for_good=False)
SLOW: Final = Closing("slow", 4408, for_good=False)
NOT_SIGNED_IN: Final = Closing("not_signed_in", 4401)
EXPIRED: Final = Closing("expired", 4401)
REVOKED: Final = Closing("revoked", 4401)
MALFORMED: Final = Closing("malformed", 4400)
TOO_LARGE: Final = Closing("too_large", 1009)
TOO_MANY: Final = Closing("too_many", 4429)
