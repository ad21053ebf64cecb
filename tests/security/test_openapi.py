import gzip
from dataclasses import replace
from typing import Any

import orjson
import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from security.api.models import AnswerBody, Body
from security.api.openapi import openapi_document
from security.api.operation import OPERATIONS_KEY, Anyone
from security.api.socket_messages import SocketMessages
from security.edge.problems import PROBLEM_JSON, Problem
from tests.toy_api import TOY_DESCRIPTION, told


@pytest.fixture
def document(toy: Flask) -> dict[str, Any]:
    answer: dict[str, Any] = told(toy.test_client().get("/openapi.json"))
    return answer


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")


def test_every_declared_operation_is_in_it(document: dict[str, Any]) -> None:
    assert {path: set(members) for path, members in document["paths"].items()} == {
        "/": {"get"},
        "/toy/events": {"get"},
        "/toy/hooks": {"post"},
        "/toy/payments": {"post"},
        "/toy/photos": {"post"},
        "/toy/pictures": {"post"},
        "/toy/release": {"post"},
        "/toy/reports/{period}": {"get"},
        "/toy/uploads/{upload_id}": {"patch"},
        "/toy/wishes.csv": {"get"},
        "/toy/wishes": {"get", "post", "put"},
        "/toy/wishes/{wish_id}": {"delete"},
    }


def test_an_operation_names_every_status_that_it_can_answer(document: dict[str, Any]) -> None:
    responses = document["paths"]["/toy/wishes"]["put"]["responses"]
    assert set(responses) == {"200", "400", "401", "413", "415", "422", "500", "503"}
    assert set(responses["400"]["content"][PROBLEM_JSON]["examples"]) == {
        "malformed_request",
        "malformed_json",
        "malformed_idempotency_key",
    }
    assert set(responses["401"]["headers"]) == {"WWW-Authenticate", "X-Request-ID"}
    assert set(responses["200"]["headers"]) == {"RateLimit", "X-Request-ID"}


def test_https_required_is_named_where_it_can_happen(toy: Flask) -> None:
    api = replace(TOY_DESCRIPTION, requires_https=True)
    written = openapi_document(toy.extensions[OPERATIONS_KEY], api)
    assert (
        "https_required"
        in written["paths"]["/toy/wishes"]["get"]["responses"]["403"]["content"][PROBLEM_JSON]["examples"]
    )


def test_an_example_is_what_the_error_answers(toy: Flask, document: dict[str, Any]) -> None:
    real = told(toy.test_client().put("/toy/wishes"))
    responses = document["paths"]["/toy/wishes"]["put"]["responses"]
    example = responses["401"]["content"][PROBLEM_JSON]["examples"]["not_signed_in"]["value"]
    changing = {"request_id", "instance"}
    assert {name: example[name] for name in example if name not in changing} == {
        name: real[name] for name in real if name not in changing
    }


def test_models_refuse_unknown_members(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    objects = {name: schema for name, schema in schemas.items() if "oneOf" not in schema}
    assert {name for name, schema in objects.items() if schema["additionalProperties"]} == {"Problem"}


def test_security_parameters_and_description_are_declared(document: dict[str, Any]) -> None:
    signed, open_to_all = document["paths"]["/toy/wishes"]["put"], document["paths"]["/toy/wishes"]["get"]
    assert (signed["security"], open_to_all["security"]) == ([{"bearer": []}], [])
    assert signed["description"] == "Wishes with a name come true sooner."
    assert {parameter["name"] for parameter in signed["parameters"]} == {"Idempotency-Key", "X-Request-ID"}
    assert {parameter["name"] for parameter in open_to_all["parameters"]} == {
        "limit",
        "state",
        "mine",
        "before",
        "X-Request-ID",
    }
    path_argument, _ = document["paths"]["/toy/wishes/{wish_id}"]["delete"]["parameters"]
    assert path_argument["schema"] == {"type": "string", "format": "uuid"}


def test_the_document_can_be_cached_and_revalidated(toy: Flask) -> None:
    client = toy.test_client()
    first = client.get("/openapi.json")
    assert first.headers["Cache-Control"] == "public, max-age=300"
    assert client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_it_is_compressed_for_whoever_accepts_it(toy: Flask, document: dict[str, Any]) -> None:
    answer = toy.test_client().get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(answer.data)) == document


def test_it_says_where_the_api_is_and_under_which_licence(document: dict[str, Any]) -> None:
    assert document["servers"] == [{"url": "https://api.example.com"}]
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert {"name": "toy", "description": "Wishes."} in document["tags"]


def test_what_may_be_left_out_of_a_body_has_no_default_in_the_schema_but_says_it(document: dict[str, Any]) -> None:
    """openapi-typescript makes a member with a default one that must be sent."""
    wish = document["components"]["schemas"]["Wish"]
    assert wish["required"] == ["goal"]
    assert "default" not in str(wish["properties"])
    assert wish["properties"]["count"]["description"] == "Default: `1`."


def test_an_answer_has_all_its_members_but_those_that_are_left_out_without_a_value(document: dict[str, Any]) -> None:
    paid = document["components"]["schemas"]["Paid"]
    assert (paid["required"], set(paid["properties"])) == (["state", "amount"], {"state", "amount", "serial"})


def test_a_body_of_several_forms_is_a_union_of_components(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert [form["$ref"].rpartition("/")[2] for form in schemas["Payment"]["oneOf"]] == ["ByCoin", "ByNote"]
    assert schemas["ByCoin"]["required"] == ["coins"]


def test_a_query_becomes_parameters_and_no_component(document: dict[str, Any]) -> None:
    assert "Filter" not in document["components"]["schemas"]
    parameters = {each["name"]: each["schema"] for each in document["paths"]["/toy/wishes"]["get"]["parameters"]}
    assert parameters["before"] == {"type": "string", "format": "uuid", "title": "Before"}
    assert parameters["limit"]["default"] == 20


def test_the_command_prints_the_same_document(toy: Flask, document: dict[str, Any]) -> None:
    printed = toy.test_cli_runner().invoke(args=["openapi"])
    assert orjson.loads(printed.output) == document


def test_a_tag_that_nobody_described_is_refused(toy: Flask) -> None:
    with pytest.raises(ValueError, match="home"):
        openapi_document(toy.extensions[OPERATIONS_KEY], replace(TOY_DESCRIPTION, tags={}))


def test_a_scheme_that_nobody_described_is_refused(toy: Flask) -> None:
    operations = toy.extensions[OPERATIONS_KEY]
    declared = replace(operations["toy.replaceWish"], guard=Anyone("a test", scheme="seal"))
    with pytest.raises(ValueError, match="seal"):
        openapi_document({**operations, "toy.replaceWish": declared}, TOY_DESCRIPTION)


class Said(Body):
    text: str


class Heard(AnswerBody):
    text: str


def test_messages_of_sockets_stand_beside_the_operations(toy: Flask) -> None:
    sockets = {"/ws/toy": SocketMessages("toy.v1", "Talk.", {"say": Said, "raw": None}, {"hear": Heard, "no": Problem})}
    api = replace(TOY_DESCRIPTION, sockets=sockets, sockets_server="https://sockets.example.com")
    document = openapi_document(toy.extensions[OPERATIONS_KEY], api)
    OpenAPIV31SpecValidator(document).validate()
    told = document["x-websocket"]
    assert told["servers"] == [{"url": "https://sockets.example.com"}]
    assert told["paths"]["/ws/toy"]["from_client"] == {
        "raw": {"contentMediaType": "application/octet-stream"},
        "say": {"$ref": "#/x-websocket/$defs/Said"},
    }
    assert told["paths"]["/ws/toy"]["from_server"]["no"] == {"$ref": "#/components/schemas/Problem"}
    assert told["$defs"]["Heard"]["required"] == ["text"]
    assert told["$defs"].keys().isdisjoint(document["components"]["schemas"])
    assert "x-websocket" not in openapi_document(toy.extensions[OPERATIONS_KEY], TOY_DESCRIPTION)
