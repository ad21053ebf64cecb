"""What the bonsai store's own document says to call, set and type: it works, or the page of the shop says what stands in its place."""

import re
from uuid import uuid4

import pytest
from flask import Flask

from app import assemble
from compat import FORMER_PATHS
from config import load_settings
from sandbox.services import ROOT
from settings.environment import FORMER_NAMES
from tests.whole.environment import EVERYTHING, PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
DOCUMENT = (
    "POST /auth/register",
    "POST /auth/login",
    "POST /auth/refresh",
    "POST /auth/logout",
    "GET /users/me",
    "PUT /users/me",
    "DELETE /users/me",
    "GET /products",
    "GET /products/{id}",
    "POST /products",
    "PUT /products/{id}",
    "DELETE /products/{id}",
    "GET /orders",
    "POST /orders",
    "GET /orders/{id}",
    "PUT /orders/{id}/status",
    "POST /payments/create-intent",
    "POST /payments/confirm",
    "GET /payments/{id}",
)
VARIABLES = (
    "DATABASE_URL",
    "SECRET_KEY",
    "ALGORITHM",
    "ACCESS_TOKEN_LIFETIME",
    "SHORT_REFRESH_TOKEN_LIFETIME",
    "LONG_REFRESH_TOKEN_LIFETIME",
    "ALLOWED_ORIGINS",
    "STRIPE_KEY",
)
COMMANDS = (
    "createdb mydb",
    'psql -c "CREATE DATABASE mydb;"',
    "pip install -r requirements.txt",
    "alembic upgrade head",
    'python -c "from app.database import create_tables; create_tables()"',
    'alembic revision --autogenerate -m "Add new table"',
    "alembic downgrade -1",
    "python main.py",
    "uvicorn main:app --host 0.0.0.0 --port 8000",
    "uvicorn main:app --reload",
    "pip install pytest pytest-asyncio httpx",
    "pytest --cov=app tests/",
    "pip install black isort",
    "black .",
    "isort .",
    "curl http://localhost:8000/health",
)
PAGE = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("shop*.md"))


@pytest.fixture(scope="module")
def service() -> Flask:
    """Nothing can be reached from it, so whatever is asked changes nothing."""
    nowhere = "postgresql://mirroros@127.0.0.1:1/mirroros"
    environ = production_environment(nowhere, "https://predict.example.com")
    return assemble(load_settings({**environ, **EVERYTHING, "COMPAT_ROUTES": "on"}))


@pytest.mark.parametrize("line", DOCUMENT)
def test_every_line_of_its_list_answers_and_says_where_to_go(service: Flask, line: str) -> None:
    method, _, path = line.partition(" ")
    asked = path.replace("{id}", str(uuid4()))
    answer = service.test_client().open(asked, method=method, base_url=BASE)
    assert answer.status_code not in {404, 405}, answer.text
    assert answer.headers["Deprecation"]
    successor = re.fullmatch('<(/api/[a-z0-9/-]+)>; rel="successor-version"', answer.headers["Link"])
    assert successor is not None
    today = service.test_client().open(successor[1], method=method, base_url=BASE)
    assert (today.status_code, today.headers.get("Deprecation")) == (answer.status_code, None)


def test_its_list_is_all_that_has_no_api_before_it() -> None:
    bare = {re.sub("<[^>]+>", "{id}", former) for former in FORMER_PATHS if " /api/" not in former}
    assert bare == set(DOCUMENT)


@pytest.mark.parametrize("path", sorted({line.partition(" ")[2] for line in DOCUMENT}))
def test_the_page_says_where_each_address_is_now(path: str) -> None:
    assert f"{path}`" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_says_what_stands_in_place_of_each_command(command: str) -> None:
    assert f"`{command}`" in PAGE


@pytest.mark.parametrize("name", VARIABLES)
def test_the_page_and_the_settings_know_each_variable(name: str) -> None:
    assert re.search(rf"`{name}[=`]", PAGE)
    assert f"`{FORMER_NAMES.get(name, name)}" in PAGE
