"""What passes over sockets, as the OpenAPI document tells it: OpenAPI has no place for it, so it stands in `x-websocket`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from security.edge.problems import Problem

Message = type[BaseModel] | type[Problem] | None
"""A model, any problem document, or bytes as they are."""

BYTES: Final = {"contentMediaType": "application/octet-stream"}
PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
Mode = Literal["validation", "serialization"]
References = Mapping[Any, dict[str, Any]]
"""By a model and its mode, as pydantic gives them."""


@dataclass(frozen=True)
class SocketMessages:
    """What clients and server say to one another at one path, by the names of the messages."""

    protocol: str
    description: str
    from_client: Mapping[str, Message]
    from_server: Mapping[str, Message]

    def models(self) -> Iterator[tuple[type[BaseModel], Mode]]:
        for messages, mode in self._sides():
            for message in messages.values():
                if message is not None and issubclass(message, BaseModel):
                    yield message, mode

    def described(self, references: References) -> dict[str, Any]:
        from_client, from_server = (
            {name: _schema(messages[name], mode, references) for name in sorted(messages)}
            for messages, mode in self._sides()
        )
        return {
            "protocol": self.protocol,
            "description": self.description,
            "from_client": from_client,
            "from_server": from_server,
        }

    def _sides(self) -> tuple[tuple[Mapping[str, Message], Mode], ...]:
        return (self.from_client, "validation"), (self.from_server, "serialization")


def described_sockets(server: str, by_path: Mapping[str, SocketMessages]) -> dict[str, Any]:
    """Its schemas stand in it: generators of clients make a model of each schema that stands among the components."""
    models = dict.fromkeys(each for messages in by_path.values() for each in messages.models())
    references, definitions = models_json_schema(list(models), ref_template="#/x-websocket/$defs/{model}")
    return {
        "servers": [{"url": server}],
        "paths": {path: messages.described(references) for path, messages in by_path.items()},
        "$defs": definitions.get("$defs", {}),
    }


def _schema(message: Message, mode: Mode, references: References) -> dict[str, Any]:
    if message is None:
        return BYTES
    return references[message, mode] if issubclass(message, BaseModel) else PROBLEM
