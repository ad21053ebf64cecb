"""For `flask check-production`: the private server answers, and both sides have the same keys and the same time."""

from collections.abc import Iterator

from gateway.private_server.client import PrivateServer
from gateway.private_server.problems import (
    PrivateServerBroke,
    PrivateServerFailed,
    PrivateServerTimedOut,
    PrivateServerUnreachable,
    SignatureNotAccepted,
)
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0


def private_server_check(private_server: PrivateServer) -> ProductionCheck:
    return ProductionCheck(
        "private server",
        "It is healthy, accepts our signature, and its own is right. No prediction was made.",
        lambda: find(private_server),
    )


def find(private_server: PrivateServer) -> Iterator[Shortcoming]:
    try:
        yield from ask(private_server)
    finally:
        private_server.close()


def ask(private_server: PrivateServer) -> Iterator[Shortcoming]:
    try:
        status = private_server.try_keys(SECONDS)
    except (PrivateServerUnreachable, PrivateServerTimedOut, PrivateServerBroke) as failure:
        raise CannotAsk(
            f"The private server does not answer ({failure.reason}).",
            "Start it, and check PRIVATE_API_URL and the firewall between the two.",
        ) from None
    except SignatureNotAccepted:
        yield Shortcoming(
            "The private server refuses our signature.",
            "Set the same key under the same id on both sides (PRIVATE_API_SECRET is k1), and compare both clocks.",
        )
        return
    except PrivateServerFailed as failure:
        yield Shortcoming(
            f"The private server's answer is not proved to be its own ({failure.reason}).",
            "Let it sign every answer with the key of the request, as docs/private-server.md says.",
        )
        return
    if status in {404, 405}:
        yield Shortcoming(
            f"The private server does not know the path of predictions (status {status}).", "Set PRIVATE_API_PATH."
        )
    elif status >= 500:
        yield Shortcoming(f"The private server fails (status {status}).", "Read its log.")
    if not private_server.answers_health(SECONDS):
        yield Shortcoming(
            "GET /health of the private server does not answer 200.", "Repair it: /api/gateway/predict/health shows it."
        )
