"""What ApiFlask remembers never changes an answer."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Blueprint, Flask, Response
from flask.testing import FlaskClient

from security.edge.api_flask import KNOWN_HOSTS, ApiFlask

HOST = "localhost"  # the test client's


@pytest.fixture
def app() -> Flask:
    app = ApiFlask("remembering")
    app.config["TRUSTED_HOSTS"] = [HOST]

    @app.get("/things")
    def list_things() -> str:
        return "all"

    @app.post("/things")
    def add_thing() -> str:
        return "added"

    @app.get("/things/<uuid:thing>")
    def show_thing(thing: object) -> str:
        return str(thing)

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_each_method_of_a_path_keeps_its_own_handler(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.get("/things").text == "all"
        assert client.post("/things").text == "added"
        assert client.delete("/things").status_code == 405
        assert client.get("/thing").status_code == 404


def test_a_path_with_an_argument_gets_its_own_argument_each_time(client: FlaskClient) -> None:
    for thing in (uuid4(), uuid4()):
        assert client.get(f"/things/{thing}").text == str(thing)


def test_a_host_is_refused_however_often_others_were_accepted(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.get("/things").status_code == 200
        assert client.get("/things", headers={"Host": "evil.example"}).status_code == 400


def test_spellings_of_a_path_fill_no_memory(app: Flask, client: FlaskClient) -> None:
    assert isinstance(app, ApiFlask)
    for slashes in range(1, 20):
        client.get("/" * slashes + "things")
        client.get(f"/things/{uuid4()}")
    assert set(app._known_rules) == {("GET", "/things")}


def test_hosts_fill_no_memory(app: Flask) -> None:
    assert isinstance(app, ApiFlask)
    app.config["TRUSTED_HOSTS"] = None
    client = app.test_client()
    for number in range(KNOWN_HOSTS + 10):
        client.get("/things", headers={"Host": f"host{number}.example"})
    assert app._accepted_host.cache_info().currsize == KNOWN_HOSTS


def test_the_hooks_of_a_request_are_the_application_s(app: Flask, client: FlaskClient) -> None:
    passed: list[str] = []
    app.before_request(lambda: passed.append("before"))
    for number in (1, 2):

        @app.after_request
        def after(response: Response, number: int = number) -> Response:
            passed.append(f"after {number}")
            return response

    assert client.get("/things").text == "all"
    assert passed == ["before", "after 2", "after 1"]  # as in Flask


@pytest.mark.parametrize("register", [Blueprint.before_request, Blueprint.after_request, Blueprint.teardown_request])
def test_a_blueprint_with_hooks_is_refused(app: Flask, register: Callable[[Blueprint, Any], Any]) -> None:
    things = Blueprint("things", __name__)
    register(things, lambda *_: None)
    with pytest.raises(ValueError, match="things: the hooks"):
        app.register_blueprint(things)
