"""Which requests Stripe's API takes, read from the installed `stripe` package.

The package is generated from Stripe's own OpenAPI document: its service classes hold verb and path of every call, and
the TypedDicts of `stripe.params` hold the parameters. A call that this refuses would be refused by the real API of the
same version.
"""

import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import import_module
from inspect import getsource
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import typing_extensions

Schema = dict[str, Any]

SERVICES = (
    "_customer_service",
    "_customer_balance_transaction_service",
    "_coupon_service",
    "_product_service",
    "_price_service",
    "checkout._session_service",
    "checkout._session_line_item_service",
    "_subscription_service",
    "_subscription_schedule_service",
    "_invoice_service",
    "_invoice_payment_service",
    "_payment_intent_service",
    "_charge_service",
    "_refund_service",
    "_dispute_service",
    "_event_service",
    "billing_portal._session_service",
    "_webhook_endpoint_service",
)
"""The modules of the package whose calls are understood."""

CALL = re.compile(
    r"    def \w+\((?P<signature>.*?)\) -> .*?"
    r'self\._request\(\s*"(?P<verb>get|post|delete)",\s*"(?P<path>/v1/[^"]*)"',
    re.DOTALL,
)
PARAMETERS = re.compile(r'"(?P<name>\w+Params)"')
SCALARS: Mapping[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    bool: {"type": "boolean"},
}


@dataclass(frozen=True)
class Operation:
    """One call of the API. `path` holds its arguments in braces."""

    verb: str
    path: str
    schema: Schema

    def match(self, verb: str, path: str) -> tuple[str, ...] | None:
        """The path's arguments, or None when this is another operation."""
        if verb != self.verb or path.count("/") != self.path.count("/"):
            return None
        found = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", self.path), path)
        return None if found is None else found.groups()


@cache
def operations() -> tuple[Operation, ...]:
    """Paths without arguments stand first, so that `/v1/customers/search` is not taken for a customer."""
    found = [operation for name in SERVICES for operation in operations_of(f"stripe.{name}")]
    return tuple(sorted(found, key=lambda operation: operation.path.count("{")))


def operations_of(module: str) -> Iterator[Operation]:
    source = getsource(import_module(module))
    for call in CALL.finditer(source):
        named = PARAMETERS.search(call["signature"])
        schema = closed_object({}, [])
        if named is not None:
            imported = re.search(rf"from (stripe\.params\S*) import \(?\s*{named['name']}\b", source)
            if imported is None:
                raise ImportError(f"{module} does not say where {named['name']} is from")
            schema = schema_of(getattr(import_module(imported[1]), named["name"]))
        yield Operation(call["verb"], call["path"], schema)


def schema_of(annotation: Any) -> Schema:
    """The JSON Schema of a parameter's type."""
    origin = get_origin(annotation)
    if annotation in SCALARS:
        return dict(SCALARS[annotation])
    if origin in {NotRequired, typing_extensions.NotRequired}:
        return schema_of(get_args(annotation)[0])
    if origin in {Literal, typing_extensions.Literal}:
        return {"enum": list(get_args(annotation))}
    if origin in {Union, UnionType}:
        return union_schema([each for each in get_args(annotation) if each is not NoneType])
    if origin in {list, typing.List}:  # noqa: UP006 - what get_origin gives is compared
        return {"type": "array", "items": schema_of(get_args(annotation)[0])}
    if typing_extensions.is_typeddict(annotation):
        return typed_dict_schema(annotation)
    # What is left are free mappings: metadata and the like.
    return {"type": "object", "additionalProperties": {"type": "string"}}


def union_schema(alternatives: list[Any]) -> Schema:
    schemas = [schema_of(each) for each in alternatives]
    named = [schema for schema in schemas if "enum" in schema and schema["enum"] != [""]]
    if named:
        # The package admits any text beside the named values, for the sake of newer versions. This one has only these.
        schemas = [schema for schema in schemas if schema != {"type": "string"}]
    distinct = [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def typed_dict_schema(typed_dict: Any) -> Schema:
    from stripe._request_options import RequestOptions  # noqa: PLC0415 - slow, and only needed once a server starts
    from stripe._stripe_context import StripeContext  # noqa: PLC0415

    names = {**vars(typing_extensions), **vars(typing), **vars(sys.modules[typed_dict.__module__])}
    hints = get_type_hints(typed_dict, {**names, "StripeContext": StripeContext}, include_extras=True)
    options = set() if typed_dict is RequestOptions else set(RequestOptions.__annotations__)
    hints = {name: hint for name, hint in hints.items() if name not in options}
    optional = {name for name, hint in hints.items() if is_not_required(hint)}
    return closed_object(
        {name: schema_of(hint) for name, hint in hints.items()}, [name for name in hints if name not in optional]
    )


def is_not_required(hint: Any) -> bool:
    return get_origin(hint) in {NotRequired, typing_extensions.NotRequired}


def closed_object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
