"""Stripe's errors: an exception each, and the JSON that they become."""

from collections.abc import Mapping
from typing import Any

from sandbox.http_listener import Reply


class Refused(Exception):
    """The request is answered with an error. `code`, `param` and the rest stand beside the message in Stripe's `error`."""

    status = 400
    kind = "invalid_request_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {name: value for name, value in details.items() if value is not None}

    def reply(self, headers: Mapping[str, str] | None = None) -> Reply:
        error = {"type": self.kind, "message": self.message, **self.details}
        return Reply(self.status, {"error": error}, dict(headers or {}))


class WrongParameter(Refused):
    """An unknown, missing or malformed parameter, or one that does not fit the state of the object."""


class NoSuchObject(Refused):
    status = 404

    def __init__(self, kind: str, object_id: str, param: str = "id", hint: str = "") -> None:
        super().__init__(f"No such {kind}: '{object_id}'{hint}", code="resource_missing", param=param)
        if param != "id":
            self.status = 400


class UnknownPath(Refused):
    status = 404

    def __init__(self, verb: str, path: str) -> None:
        super().__init__(f"Unrecognized request URL ({verb.upper()}: {path}).")


class NotImitated(Refused):
    """Stripe has this call. This stand-in does not."""

    status = 501
    kind = "api_error"

    def __init__(self, verb: str, path: str) -> None:
        super().__init__(f"This stand-in does not imitate {verb.upper()} {path}.")


class WrongKey(Refused):
    status = 401

    def __init__(self) -> None:
        super().__init__("Invalid API Key provided.")


class CardDeclined(Refused):
    status = 402
    kind = "card_error"

    def __init__(self, error: Mapping[str, Any] | None = None, **details: Any) -> None:
        """`error` is the `last_payment_error` of the payment intent, where there is one."""
        why = error or {
            "message": "Your card was declined.",
            "code": "card_declined",
            "decline_code": "generic_decline",
        }
        super().__init__(why["message"], code=why["code"], decline_code=why["decline_code"], **details)


class KeyUsedOtherwise(Refused):
    kind = "idempotency_error"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )


class RateLimited(Refused):
    status = 429

    def __init__(self) -> None:
        super().__init__("Request rate limit exceeded.", code="rate_limit")


class LockTimeout(Refused):
    status = 409

    def __init__(self) -> None:
        super().__init__("This object cannot be accessed right now.", code="lock_timeout")


class ServerError(Refused):
    status = 500
    kind = "api_error"

    def __init__(self) -> None:
        super().__init__("An unknown error occurred.")
