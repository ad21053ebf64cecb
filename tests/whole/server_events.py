"""Server-sent events of the real web server, each as soon as it comes."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from tests.whole.environment import PUBLIC_HOST
from tests.whole.new_address import new_address
from tests.whole.web_server import WebServer

LAST_OF_COMPLETIONS = "[DONE]"


@dataclass(frozen=True)
class ServerEvent:
    """`name` is "" for one without a name, `data` None for the last one of a completion."""

    name: str
    data: Any
    id: str = ""


@dataclass(frozen=True)
class Streamed:
    """An answer whose body is read by `events`, or by `problem` when there are none."""

    response: HTTPResponse

    @property
    def status(self) -> int:
        return self.response.status

    def problem(self) -> Any:
        return json.loads(self.response.read())

    def events(self) -> Iterator[ServerEvent]:
        """Raises OSError or HTTPException when the connection is lost."""
        name = event_id = ""
        for line in iter(self.response.readline, b""):
            kind, _, value = line.decode().rstrip("\n").partition(": ")
            if kind == "event":
                name = value
            elif kind == "id":
                event_id = value
            elif kind == "data":
                yield ServerEvent(name, None if value == LAST_OF_COMPLETIONS else json.loads(value), event_id)
                name = event_id = ""


@contextmanager
def event_stream(
    server: WebServer, method: str, path: str, token: str, document: Any = None, **headers: str
) -> Iterator[Streamed]:
    """The connection is closed at the end, whether all was read or not."""
    sent = {
        "Host": PUBLIC_HOST,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": new_address(),
        "Authorization": f"Bearer {token}",
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    with closing(server.connection(60)) as connection:
        body = None if document is None else json.dumps(document).encode()
        connection.request(method, path, body, sent)
        yield Streamed(connection.getresponse())
