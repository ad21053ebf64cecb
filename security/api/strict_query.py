"""Query parameters under the same strictness as bodies: one style (form, explode), no coercion, unknown names refused."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from werkzeug.datastructures import MultiDict

from security.edge.problems import ValidationFailed, field_error

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,2})?")
_BOOLEANS = {"true": True, "false": False}


class QueryReader:
    """Turns `?status=a&status=b&limit=5` into the JSON document that the model would read from a body.

    Text becomes a number or a boolean only where the model's JSON Schema takes one. Made once per operation.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        schema = model.model_json_schema()
        definitions = schema.get("$defs", {})
        self._types = {
            name: frozenset(_types(member, definitions)) for name, member in schema.get("properties", {}).items()
        }

    def document(self, arguments: MultiDict[str, str]) -> bytes:
        """Raises ValidationFailed where a single value is given twice or a text holds NUL."""
        members: dict[str, Any] = {}
        errors: list[dict[str, str]] = []
        for name, values in arguments.lists():
            types = self._types.get(name, frozenset())
            if any("\0" in text for text in (name, *values)):
                errors.append(field_error([name.replace("\0", "")], "nul", "NUL is not allowed"))
            elif "array" in types:
                members[name] = [_read(value, types) for value in values]
            elif len(values) > 1:
                errors.append(field_error([name], "repeated", "Send this parameter only once"))
            else:
                members[name] = _read(values[0], types)
        if errors:
            raise ValidationFailed(errors)
        return orjson.dumps(members)


def _read(text: str, types: frozenset[str]) -> Any:
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if types & {"integer", "number"} and _NUMBER.fullmatch(text):
        return orjson.loads(text)
    return text


def _types(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """The JSON types that a property takes, with those of an array's items."""
    if "type" in schema:
        yield schema["type"]
    if "$ref" in schema:
        yield from _types(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for choice in schema.get("anyOf", []):
        yield from _types(choice, definitions)
    if "items" in schema:
        yield from _types(schema["items"], definitions)
