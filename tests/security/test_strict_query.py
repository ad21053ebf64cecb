import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.toy_api import told


@pytest.fixture
def client(toy: Flask) -> FlaskClient:
    return toy.test_client()


def test_parameters_become_the_models_types(client: FlaskClient) -> None:
    answer = client.get("/toy/wishes?limit=5&state=open&state=closed&mine=true")
    assert answer.json == {"limit": 5, "state": ["open", "closed"], "mine": True}


def test_parameters_have_defaults(client: FlaskClient) -> None:
    assert client.get("/toy/wishes").json == {"limit": 20, "state": [], "mine": False}


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("nope=1", "/nope", "extra_forbidden"),
        ("limit=1&limit=2", "/limit", "repeated"),
        ("limit=0", "/limit", "greater_than_equal"),
        ("limit=1_0", "/limit", "int_type"),
        ("limit=%205", "/limit", "int_type"),
        ("limit=05", "/limit", "int_type"),
        ("limit=%2B5", "/limit", "int_type"),
        ("limit=" + "9" * 5000, "/limit", "int_type"),
        ("limit=", "/limit", "int_type"),
        ("limit=NaN", "/limit", "int_type"),
        ("limit=true", "/limit", "int_type"),
        ("mine=yes", "/mine", "bool_type"),
        ("mine=1", "/mine", "bool_type"),
        ("state=other", "/state/0", "literal_error"),
        ("before=x", "/before", "uuid_parsing"),
        ("before=%00", "/before", "nul"),
        ("a%00=1", "/a", "nul"),
        ("a/b=1", "/a~1b", "extra_forbidden"),
        ("%ff=%ed%a0%80", "/%FF", "extra_forbidden"),
    ],
)
def test_anything_else_is_422_and_names_the_parameter(client: FlaskClient, query: str, pointer: str, code: str) -> None:
    answer = client.get(f"/toy/wishes?{query}")
    assert answer.status_code == 422
    assert [(error["pointer"].upper(), error["code"]) for error in told(answer)["errors"]] == [(pointer.upper(), code)]
