import pytest
from flask import Blueprint, Flask

from security.api.openapi import ApiDescription, openapi_document
from security.api.operation import OPERATIONS_KEY, Answer, Anyone, operation
from security.api.request_bodies import LARGEST_BODY, Raw, query_reader
from security.api.slots import Slots
from tests.toy_api import Filter, told


def test_a_handler_under_nested_blueprints_is_declared_with_its_whole_path() -> None:
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__)

    @operation(
        inner, "GET", "/thing", operation_id="getThing", summary="x", guard=Anyone("a test"), answers={200: None}
    )
    def thing() -> Answer:
        return Answer(200, b"{}")

    outer.register_blueprint(inner, url_prefix="/inner")
    app = Flask("nested", static_folder=None)
    app.register_blueprint(outer)
    assert [declared.path for declared in app.extensions[OPERATIONS_KEY].values()] == ["/outer/inner/thing"]
    assert set(app.extensions[OPERATIONS_KEY]) == {rule.endpoint for rule in app.url_map.iter_rules()}
    assert set(
        openapi_document(
            app.extensions[OPERATIONS_KEY],
            ApiDescription("x", "1", server="https://api.example.com", tags={"inner": "x"}),
        )["paths"]
    ) == {"/outer/inner/thing"}


def test_an_argument_can_be_the_rest_of_the_path() -> None:
    routes, app = Blueprint("x", __name__), Flask("rest", static_folder=None)

    @operation(
        routes,
        "GET",
        "/things/<path:name>",
        operation_id="getThing",
        summary="x",
        guard=Anyone("a test"),
        answers={200: None},
    )
    def thing(name: str) -> Answer:
        return Answer(200, headers={"X-Name": name})

    app.register_blueprint(routes)
    answers = [app.test_client().get(f"/things/{name}") for name in ("a/b", "a%2Fb", "a//b", "", "/a")]
    assert [each.headers.get("X-Name") for each in answers] == ["a/b", "a/b", "a//b", None, None]
    description = ApiDescription("x", "1", server="https://api.example.com", tags={"x": "x"})
    described = openapi_document(app.extensions[OPERATIONS_KEY], description)["paths"]["/things/{name}"]["get"]
    assert described["parameters"][0] == {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[^/]"},
    }


@pytest.mark.parametrize("path", ["/<int:number>", "/<name>"])
def test_a_path_argument_that_is_no_uuid_cannot_be_declared(path: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        operation(
            Blueprint("x", __name__),
            "GET",
            path,
            operation_id="getThing",
            summary="x",
            guard=Anyone("a test"),
            answers={200: None},
        )


def test_an_answer_without_a_body_has_no_content_type(toy: Flask) -> None:
    answer = toy.test_client().delete("/toy/wishes/0193a5b0-7c1e-7000-8000-0242ac120002")
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)


def test_head_answers_like_get_without_the_body(toy: Flask) -> None:
    head, get = toy.test_client().head("/toy/wishes"), toy.test_client().get("/toy/wishes")
    assert (head.status_code, head.data, head.content_length) == (200, b"", get.content_length)


def test_the_guard_is_asked_before_the_body_is_read(toy: Flask) -> None:
    assert toy.test_client().put("/toy/wishes", data=b"{").status_code == 401


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"coins": "three"}, ["/coins"]),
        ({"coins": 3, "note": 5}, ["/note"]),
        ({"note": 5}, ["/serial"]),
        ({}, ["/note", "/serial"]),
        ([], [""]),
    ],
)
def test_errors_of_a_body_of_several_forms_point_into_what_was_sent(
    toy: Flask, body: object, pointers: list[str]
) -> None:
    answer = toy.test_client().post("/toy/payments", json=body)
    assert (answer.status_code, [error["pointer"] for error in told(answer)["errors"]]) == (422, pointers)
    assert told(toy.test_client().post("/toy/payments", json={"coins": 3})) == {"state": "paid", "amount": 3}


@pytest.mark.parametrize(
    ("slots", "largest"), [(None, 2 * 1024 * 1024), (Slots(1), LARGEST_BODY)], ids=["without slots", "with slots"]
)
def test_a_body_larger_than_the_web_server_takes_cannot_be_declared(slots: Slots | None, largest: int) -> None:
    declare = operation(
        Blueprint("x", __name__),
        "POST",
        "/x",
        operation_id="createX",
        summary="x",
        guard=Anyone("a test"),
        body=Raw("application/octet-stream", limit=largest + 1),
        answers={204: None},
        within=slots,
    )
    with pytest.raises(ValueError, match=f"{largest:,} bytes"):
        declare(lambda body: Answer(204))


def test_a_path_argument_can_be_one_of_some_names(toy: Flask) -> None:
    client = toy.test_client()
    assert told(client.get("/toy/reports/daily"))["goal"] == "daily"
    assert client.get("/toy/reports/hourly").status_code == 404
    path = told(client.get("/openapi.json"))["paths"]["/toy/reports/{period}"]["get"]
    assert path["parameters"][0]["schema"] == {"type": "string", "enum": ["daily", "monthly"]}


def test_a_page_has_its_policy_and_is_left_out_of_the_document(toy: Flask) -> None:
    client = toy.test_client()
    answer = client.get("/toy/page")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "/toy/page" not in told(client.get("/openapi.json"))["paths"]
    assert "/toy/page" in [each.path for each in toy.extensions[OPERATIONS_KEY].values()]


def test_a_query_model_is_read_once_for_all_operations() -> None:
    assert query_reader(Filter) is query_reader(Filter)
