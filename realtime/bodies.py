"""What every client of Socket.IO may send beside the events of products, and is told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import Field

from security.api.models import AnswerBody, Body


class Refresh(Body):
    token: str = Field(min_length=1, max_length=4096)
    """A new access token or API key of the same account."""


class Expiring(AnswerBody):
    expires_in: int
    """Seconds until the token ends, and the socket with it. Send `auth:refresh`."""


class GoingAway(AnswerBody):
    retry_after: float
    """The server stops. Seconds after which to connect again."""


FROM_CLIENT: Final = MappingProxyType({"auth:refresh": Refresh})
FROM_SERVER: Final[Mapping[str, type[AnswerBody]]] = MappingProxyType(
    {"auth:expiring": Expiring, "going_away": GoingAway}
)
