"""What the models of requests and answers are made of. No part of the web framework, so that settings may use them too."""

from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, RootModel, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Makes an integer of what JSON Schema calls one: 175.0 (JSON Schema 2020-12, 4.2.3). Strict pydantic would refuse it.

Bounds stand before it, `Annotated[int, Field(ge=1), WHOLE]`: after it they would be missing in the schema.
"""


class Body(BaseModel):
    """Base of every request body and query: unknown fields are refused, values never coerced, instances never change."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Message(BaseModel):
    """Base of what a client sends over a socket of a path: as strict as a Body, but for unknown members, which are ignored. Such
    sockets stay open for hours, and the server behind them may be older than the client.

    A text may hold NUL, which PostgreSQL cannot store: a terminal sends it for Ctrl-Space.
    """

    model_config = ConfigDict(
        extra="ignore", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class FilledIn(Body):
    """Base of what a form of a page sends, as its body or as its query: a field that was left empty was not sent.

    A browser sends every text field, also an empty one.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, sent: Any) -> Any:
        return {name: value for name, value in sent.items() if value != ""} if isinstance(sent, dict) else sent


Form = TypeVar("Form", bound=Body)


class OneOfBody(RootModel[Form]):
    """Base of a body that has one of several forms, each a `Body` of its own: a union with a discriminator.

    The discriminator is a function, because no member of the JSON says which form it is.
    """

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)


class AnswerBody(BaseModel):
    """Base of every answer body. It has every member always, but for those with `exclude_if`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        schema = handler(core_schema)
        handler.resolve_ref_schema(schema)["required"] = [
            member.serialization_alias or name for name, member in cls.model_fields.items() if member.exclude_if is None
        ]
        return schema
