"""A request that is answered with an error, before a face has put it into its own words."""

from dataclasses import dataclass, field


@dataclass(eq=False)
class Refused(Exception):
    """`kind` is the error's `type`; `code` and `param` stand beside it where a face has them."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


Path = tuple[str | int, ...]
"""Where in the body: `("messages", 0, "content")`."""


@dataclass(eq=False)
class WrongParameter(Exception):
    """`fault` is one of missing, unknown, type, value."""

    path: Path
    fault: str
    expected: str = ""
    given: str = ""


@dataclass(eq=False)
class WrongPicture(Exception):
    """`fault` is one of address, base64, media_type, unreadable, size, pixels."""

    path: Path
    fault: str
    detail: str = ""
