"""A request's parameters out of Stripe's form encoding: `items[0][price]=price_1` is a list of one mapping."""

import re
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sandbox.stripe_server.protocol.parameter_schemas import Schema
from sandbox.stripe_server.protocol.refusals import WrongParameter

INTEGER = re.compile(r"-?\d{1,18}")
NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,12})?")
EXPECTED = {"integer": "parameter_invalid_integer", "string": "parameter_invalid_empty"}
Form = dict[str, Any]


def read_parameters(encoded: str, schema: Schema) -> Form:
    """Decoded and converted to the types of the schema. Raises WrongParameter, which names the first wrong one."""
    converted = convert(decode(encoded), schema)
    wrong = first_wrong(Draft202012Validator(schema), converted)
    if wrong is not None:
        raise wrong
    parameters: Form = converted
    return parameters


def decode(encoded: str) -> Form:
    form: Form = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=1000):
        head, *rest = name.split("[")
        keys = [head, *(part.removesuffix("]") for part in rest)]
        if not head or any(not part.endswith("]") for part in rest):
            raise WrongParameter(f"Invalid parameter name: {name}", param=name)
        inner = form
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise WrongParameter(f"Invalid object: {head}", param=head)
        inner[keys[-1] or str(len(inner))] = value
    return form


def convert(value: Any, schema: Schema) -> Any:
    """What cannot be converted stays as it came, and the validation names it."""
    fitting = alternative_for(value, schema)
    if isinstance(value, dict):
        if fitting.get("type") == "array":
            ordered = sorted(value.items(), key=lambda item: item[0].zfill(9))
            return [convert(each, fitting["items"]) for _, each in ordered]
        known = fitting.get("properties", {})
        return {name: convert(each, known.get(name, {})) for name, each in value.items()}
    if fitting.get("type") == "integer" and INTEGER.fullmatch(value):
        return int(value)
    if fitting.get("type") == "number" and NUMBER.fullmatch(value):
        return float(value)
    if fitting.get("type") == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value


def alternative_for(value: Any, schema: Schema) -> Schema:
    """The alternative of a union that the form's value may be meant for."""
    alternatives: list[Schema] = schema.get("anyOf", [schema])
    for alternative in alternatives:
        if isinstance(value, dict):
            keys_are_numbers = all(key.isdecimal() for key in value)
            if alternative.get("type") == ("array" if keys_are_numbers and value else "object"):
                return alternative
        elif value in alternative.get("enum", ()) or (
            alternative.get("type") == "integer" and INTEGER.fullmatch(value)
        ):
            return alternative
    scalar = [each for each in alternatives if each.get("type") not in {"array", "object"}]
    return scalar[-1] if scalar and not isinstance(value, dict) else alternatives[-1]


def first_wrong(validator: Draft202012Validator, value: Any) -> WrongParameter | None:
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path])
    return refusal_of(errors[0]) if errors else None


def refusal_of(error: ValidationError) -> WrongParameter:
    where = [str(step) for step in error.absolute_path]
    while error.validator == "anyOf" and error.context:
        # Of a union's branches, the one that the value was meant for complains about something inside.
        error = max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
        where = [str(step) for step in error.absolute_path]
    if error.validator == "additionalProperties":
        unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))[0]
        name = bracketed([*where, unknown])
        return WrongParameter(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))[0]
        name = bracketed([*where, missing])
        return WrongParameter(f"Missing required param: {name}.", param=name, code="parameter_missing")
    name = bracketed(where)
    if error.validator == "enum":
        named = ", ".join(str(each) for each in error.validator_value)
        return WrongParameter(f"Invalid {name}: must be one of {named}", param=name)
    code = EXPECTED.get(str(error.validator_value))
    return WrongParameter(f"Invalid {error.validator_value}: {name}", param=name, code=code)


def bracketed(steps: list[str]) -> str:
    return steps[0] + "".join(f"[{step}]" for step in steps[1:]) if steps else ""
