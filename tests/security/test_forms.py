"""Forms of pages: `application/x-www-form-urlencoded`, as strict as JSON."""

import pytest
from flask import Blueprint, Flask
from pydantic import Field
from werkzeug.test import TestResponse

from security.api.answers import SeeOther
from security.api.models import FilledIn
from security.api.operation import OPERATIONS_KEY, Answer, Anyone, operation
from security.api.request_bodies import FORM_LIMIT, MOST_FIELDS, Form
from security.edge.edge import install_edge
from tests.toy_api import told


class Wish(FilledIn):
    title: str = Field(min_length=2)
    size: int | None = None
    labels: list[str] = []
    hidden: bool = False


@pytest.fixture
def forms() -> Flask:
    routes = Blueprint("forms", __name__)

    @operation(
        routes,
        "POST",
        "/wishes",
        operation_id="wish",
        summary="x",
        guard=Anyone("a test"),
        body=Form(Wish),
        answers={303: SeeOther()},
    )
    def wish(body: Wish) -> Answer:
        return Answer(303, headers={"Location": f"/{body.title}/{body.size}/{','.join(body.labels)}/{body.hidden}"})

    app = Flask("forms", static_folder=None)
    install_edge(app, require_https=False, trusted_proxy_hops=0, trusted_hosts=())
    app.register_blueprint(routes)
    return app


def send(forms: Flask, body: bytes, content_type: str = "application/x-www-form-urlencoded") -> TestResponse:
    return forms.test_client().post("/wishes", data=body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"title=Sea&size=3&labels=a&labels=b&hidden=true", "/Sea/3/a,b/True"),
        (b"title=Sea+and+%C3%A9&size=", "/Sea and é/None//False"),
        (b"title=Sea", "/Sea/None//False"),
    ],
)
def test_its_fields_are_read_by_their_types_and_empty_ones_were_not_sent(forms: Flask, body: bytes, read: str) -> None:
    answer = send(forms, body)
    assert (answer.status_code, answer.headers["Location"], answer.data) == (303, read, b"")


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b"", {"/title": "missing"}),
        (b"title=", {"/title": "missing"}),
        (
            b"title=a&size=big&colour=red",
            {"/title": "string_too_short", "/size": "int_type", "/colour": "extra_forbidden"},
        ),
        (b"title=Sea&title=Land", {"/title": "repeated"}),
        (b"title=Sea%00", {"/title": "nul"}),
    ],
)
def test_every_wrong_field_is_named(forms: Flask, body: bytes, errors: dict[str, str]) -> None:
    answer = send(forms, body)
    assert answer.status_code == 422
    assert {each["pointer"]: each["code"] for each in told(answer)["errors"]} == errors


@pytest.mark.parametrize("body", [b"title=%FF", "title=é".encode(), b"&".join([b"a=1"] * (MOST_FIELDS + 1))])
def test_what_is_no_form_is_400(forms: Flask, body: bytes) -> None:
    assert send(forms, body).status_code == 400


def test_of_another_type_it_is_415_and_too_large_413(forms: Flask) -> None:
    assert send(forms, b"{}", "application/json").headers["Accept-Post"] == "application/x-www-form-urlencoded"
    assert send(forms, b"title=" + b"a" * FORM_LIMIT).status_code == 413


def test_it_is_left_out_of_the_openapi_document(forms: Flask) -> None:
    assert [each.documented for each in forms.extensions[OPERATIONS_KEY].values()] == [False]
