"""What a model has to answer, as a JSON Schema that it is given, and as a check of what came back."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from capabilities.commands.bodies import LONGEST_COMMAND
from capabilities.commands.risk import Risk
from providers.problems import ProviderFailed
from security.api.typed_text import UNSEEN

_UNSEEN = re.compile(rf"(?![\n\t])[{UNSEEN}]|[\ud800-\udfff]")
"""What a terminal obeys, or what hides how a command reads."""


def _shown(text: str) -> str:
    if _UNSEEN.search(text):
        raise ValueError("has characters that are not seen")
    return text


Command = Annotated[str, Field(min_length=1, max_length=LONGEST_COMMAND), AfterValidator(_shown)]
Text = Annotated[str, Field(min_length=1, max_length=8000), AfterValidator(_shown)]
Line = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_shown)]
Lines = Annotated[list[Line], Field(max_length=50)]


class Reply(BaseModel):
    """Members that it was not asked for are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)


class Proposal(Reply):
    command: Command
    why: Text
    risk: Risk
    risk_reasons: Lines


class Part(Reply):
    text: Command
    meaning: Text


class SuggestReply(Reply):
    command: Command
    explanation: Text
    risk: Risk
    risk_reasons: Lines
    needs_input: Lines
    alternatives: Annotated[list[Proposal], Field(max_length=10)]


class ExplainReply(Reply):
    summary: Text
    parts: Annotated[list[Part], Field(max_length=200)]
    risk: Risk
    risk_reasons: Lines


class ExplainErrorReply(Reply):
    cause: Text
    fixes: Annotated[list[Proposal], Field(max_length=20)]


class OptimizeReply(Reply):
    command: Command
    changes: Lines
    risk: Risk
    risk_reasons: Lines


Kind = TypeVar("Kind", bound=Reply)


def read_reply(kind: type[Kind], text: str) -> Kind:
    """Raises ProviderFailed for what is not as it was asked for."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        raise ProviderFailed("reply_malformed") from None


@cache
def schema_of(kind: type[Reply]) -> Mapping[str, Any]:
    """In the part of JSON Schema that all providers know: each member is required, none beside them, no bounds, no references."""
    schema = kind.model_json_schema()
    named: Mapping[str, Any] = schema.get("$defs", {})

    def simple(part: Mapping[str, Any]) -> dict[str, Any]:
        if "$ref" in part:
            return simple(named[part["$ref"].rpartition("/")[2]])
        if "enum" in part:
            return {"type": "string", "enum": list(part["enum"])}
        if part["type"] == "array":
            return {"type": "array", "items": simple(part["items"])}
        if part["type"] == "object":
            members = {name: simple(member) for name, member in part["properties"].items()}
            return {
                "type": "object",
                "properties": members,
                "required": list(members),
                "additionalProperties": False,
            }
        return {"type": part["type"]}

    return simple(schema)
