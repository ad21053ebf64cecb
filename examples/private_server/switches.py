"""Ways to misbehave, so that the reference server is also the test double of a private server in trouble."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What is done to a correctly signed prediction request instead of answering it well."""

    NONE = "none"
    STATUS = "status"
    """Answer with `Switches.status` and problem JSON, correctly signed."""
    HANG = "hang"
    """Accept and never answer."""
    TRICKLE = "trickle"
    """A good answer, its body at one byte a second."""
    NOT_JSON = "not_json"
    NAN = "nan"
    HTML = "html"
    HUGE = "huge"
    """5 MB of JSON."""
    GZIP = "gzip"
    """A small body with Content-Encoding: gzip that unpacks to 20 MiB."""
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    OTHER_NONCE = "other_nonce"
    """Signed for another request."""
    REFLECTED = "reflected"
    """The request's own signature is sent back as the answer's."""
    STATUS_CHANGED = "status_changed"
    """Signed as 200, sent as 201."""
    BODY_CHANGED = "body_changed"
    BODY_CUT = "body_cut"
    """Half of the announced body, then the connection is closed."""
    REDIRECT = "redirect"
    CLOSE = "close"
    """The connection is closed before any byte of an answer."""


class SwitchesInvalid(ValueError):
    """The posted document is not a set of switches."""


@dataclass(frozen=True)
class Switches:
    """`delay_seconds` comes before any answer.

    `status` and `retry_after` (seconds) belong to Fault.STATUS.
    """

    fault: Fault = Fault.NONE
    delay_seconds: float = 0.0
    status: int = 500
    retry_after: int | None = None

    @classmethod
    def from_json(cls, document: Any) -> "Switches":
        if not isinstance(document, dict) or not set(document) <= {known.name for known in fields(cls)}:
            raise SwitchesInvalid(f"an object with {', '.join(known.name for known in fields(cls))}")
        try:
            switches = cls(**(document | {"fault": Fault(document.get("fault", "none"))}))
        except ValueError as error:
            raise SwitchesInvalid(str(error)) from None
        if type(switches.delay_seconds) not in (int, float) or not 0 <= switches.delay_seconds <= 600:
            raise SwitchesInvalid("delay_seconds is a number, 0 to 600")
        if type(switches.status) is not int or not 400 <= switches.status <= 599:
            raise SwitchesInvalid("status is a whole number, 400 to 599")
        if switches.retry_after is not None and type(switches.retry_after) is not int:
            raise SwitchesInvalid("retry_after is a whole number of seconds")
        return switches


@dataclass
class Seen:
    """What arrived, so that a test can compare it with what was charged."""

    predictions: int = 0
    """Correctly signed requests for a prediction, whatever was answered."""
    request_ids: list[str] = field(default_factory=list)
    """The signed `rid` of each prediction, in the order of arrival."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused requests by code."""
    health_checks: int = 0
    most_at_once: int = 0
    """The largest number of predictions that were in flight at the same time."""
