"""What tells the lines and error reports of one request or job from those of the others."""

from typing import Any

from structlog.contextvars import get_contextvars

from security.edge.request_id import current_exchange


def current_names() -> dict[str, Any]:
    """Of a request its ids and its caller, of a job its name and number."""
    exchange = current_exchange()
    return get_contextvars() if exchange is None else {**get_contextvars(), **exchange.names()}
