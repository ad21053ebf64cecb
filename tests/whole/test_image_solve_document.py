"""What the Image Solve Platform's own document says to type, typed: its paths, bodies and curl line, and their twins of today."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from PIL import Image

from app import assemble
from compat import FORMER_PATHS, MOVED_PAGES
from config import load_settings
from database import db
from examples.private_server.server import PrivateServer
from sandbox.services import ROOT
from tests.sandbox.test_make_run import MakeRun
from tests.test_former_names import AS_DOCUMENTED
from tests.whole.environment import production_environment

PAGE = (ROOT / "docs" / "from-django.md").read_text(encoding="utf-8")
CURL = r"""curl -sS -X POST {url}/api/core/solve \
    -H "Authorization: Bearer {token}" \
    -H "Content-Type: application/json" \
    -d '{{
      "image": "{picture}",
      "prompt": "Solve this math problem"
    }}'"""
CURL_WITH_A_TOKEN = r"""curl -sS -H "Authorization: Bearer {token}" \
  {url}/api/core/solve"""
PATHS = (
    "POST /api/customers/register",
    "POST /api/customers/login",
    "GET /api/customers/verify-email",
    "POST /api/customers/logout",
    "POST /api/customers/password/change",
    "POST /api/customers/password/reset",
    "POST /api/customers/resend-verification",
    "GET /api/customers/tokens",
    "POST /api/customers/tokens",
    "DELETE /api/customers/tokens/01936fd2-0000-7000-8000-000000000000",
    "GET /api/customers/usage/requests",
    "GET /api/customers/usage/summary",
    "POST /api/core/solve",
    "GET /api/core/health",
    "GET /api/docs/",
    "GET /api/schema/",
)


COMMANDS = (
    "docker compose up -d",
    "cp .env.example .env",
    'uv add -e ".[dev]"',
    *(f"make {target}" for target in ("help", "install", "dev", "test", "migrate", "superuser")),
    *(f"make {target}" for target in ("typecheck", "lint", "format", "clean")),
    "manage.py runserver",
    "manage.py bootstrap_demo",
    "manage.py create_billing_periods",
    "manage.py mark_overdue_periods",
    "create_staff_user.py",
    "uv run pytest -v",
    "uv run pytest tests/test_math_solver.py",
    "uv run pytest --cov=. --cov-report=html",
    "uv run mypy customers/",
    "uv run black .",
    "uv run ruff check --fix .",
)


def picture() -> str:
    content = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


class Api:
    """The API that `make run` started."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: object = None, token: str = "", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(
            method, f"{self.url}{path}", json=body, headers=headers, timeout=60, allow_redirects=False, **more
        )

    def get(self, path: str, token: str = "") -> requests.Response:
        return self.ask("GET", path, token=token)

    def post(self, path: str, body: object = None, token: str = "") -> requests.Response:
        return self.ask("POST", path, body, token)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[MakeRun]:
    made = MakeRun(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def demo_accounts(running: MakeRun) -> str:
    """The document's demo data, by its command. Gives the API key that is printed."""
    addresses = json.loads((running.folder / "services.json").read_text())
    secrets = json.loads((running.folder / "development-secrets.json").read_text())
    command = [sys.executable, "-m", "flask", "bootstrap-demo", "--well-known"]
    environ = {**running.environ, **addresses, **secrets, "PORT": "8000", "CAPABILITIES": "predict,solve"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"tok_\S+", done.stdout)
    assert found is not None, done.stdout
    return found[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the document's line needs curl")
def test_every_line_of_the_document_runs_as_written(running: MakeRun) -> None:
    key, api = demo_accounts(running), Api(running.url)

    registered = api.post(
        "/api/customers/register",
        {"email": "new@example.com", "password": "tulip-9-orbit-canoe", "invite_code": "DEMO1234"},
    )
    assert registered.status_code == 201, registered.text
    assert "Deprecation" in registered.headers
    signed_in = api.post("/api/customers/login", {"email": "user@example.com", "password": "user123"})
    assert signed_in.status_code == 200, signed_in.text
    token = signed_in.json()["access_token"]
    assert api.post("/api/customers/login", {"email": "admin@example.com", "password": "admin123"}).status_code == 200

    line = CURL.format(url=running.url, token=key, picture=picture())
    done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=True, timeout=60)
    solved = json.loads(done.stdout)
    assert "answer" in solved, solved
    assert solved["answer"] and solved["provider"] == "openai" and solved["mock"] is False
    line = CURL_WITH_A_TOKEN.format(url=running.url, token=key)
    done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]) == (
        405,
        "method_not_allowed",
    )  # it shows where the key goes, and sends no picture
    twin = api.post("/api/gateway/solve", {"image": picture(), "prompt": "Solve this math problem"}, key)
    assert twin.status_code == 200, twin.text
    assert twin.json()["answer"] == solved["answer"]
    assert twin.json().keys() == solved.keys()

    made = api.post("/api/customers/tokens", {"name": "Production API Token"}, token)
    assert made.status_code == 201 and made.json()["token"].startswith("tok_"), made.text
    for old, new in (("tokens", "/api/auth/tokens"), ("usage/requests", "/api/gateway/usage/requests")):
        assert api.get(f"/api/customers/{old}", token).json() == api.get(new, token).json()
    summary = api.get("/api/customers/usage/summary", token)
    assert (
        summary.json()["requests"]["ok"] == 2 == api.get("/api/gateway/usage/summary", token).json()["requests"]["ok"]
    )
    assert api.ask("DELETE", f"/api/customers/tokens/{made.json()['id']}", token=token).status_code == 204

    confirm = api.get("/api/customers/verify-email?token=abc")
    assert confirm.status_code == 303 and confirm.headers["Location"].endswith("/account/verify-email#token=abc")
    newcomer = registered.json()["access_token"]
    assert api.post("/api/customers/resend-verification", token=newcomer).status_code == 202
    assert api.post("/api/customers/password/reset", {"email": "user@example.com"}).status_code == 202
    assert api.get("/api/core/health").json()["status"] == api.get("/health").json()["status"]
    assert {api.get(path).status_code for path in ("/api/docs/", "/api/schema/")} == {308}
    page = requests.get(f"{running.url}/admin/", headers={"Accept": "text/html"}, timeout=10)
    assert (page.url, page.status_code, "Sign in" in page.text) == (f"{running.url}/admin", 401, True)

    changed = {"current_password": "tulip-9-orbit-canoe", "new_password": "harbor-7-violet-maple"}
    assert api.post("/api/customers/password/change", changed, newcomer).status_code == 204
    assert api.post("/api/customers/logout", token=token).status_code == 204


def application(database_url: str, private: PrivateServer, **more: str) -> Flask:
    environ = production_environment(database_url, private.url) | {
        "CAPABILITIES": "predict,solve",
        "COMPAT_ROUTES": "on",
        "OPENAI_API_KEY": "sk-proj-0123456789abcdef",
        **more,
    }
    return assemble(load_settings(environ))


def statuses(app: Flask) -> dict[str, int]:
    client = app.test_client()
    found = {}
    for each in PATHS:
        method, path = each.split()
        found[each] = client.open(path, method=method, json={} if method == "POST" else None).status_code
    with app.app_context():
        db.engine.dispose()
    return found


def test_every_path_of_the_document_is_there(database_url: str, private: PrivateServer) -> None:
    assert [path for path, status in statuses(application(database_url, private)).items() if status in {404, 405}] == []


def test_compat_routes_off_turns_them_to_404(database_url: str, private: PrivateServer) -> None:
    assert set(statuses(application(database_url, private, COMPAT_ROUTES="false")).values()) == {404}


def test_the_commands_of_the_document_are_there(database_url: str, private: PrivateServer) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {
        "help",
        "install",
        "dev",
        "test",
        "migrate",
        "superuser",
        "typecheck",
        "lint",
        "format",
        "clean",
    } <= targets
    commands = application(database_url, private).cli.commands.keys()
    assert {"bootstrap-demo", "create-billing-periods", "mark-overdue-periods", "create-admin"} <= commands
    assert set(re.findall(r"`make ([a-z-]+)", PAGE)) <= targets
    assert set(re.findall(r"`flask ([a-z-]+)", PAGE)) - {"run", "db"} <= commands


def test_the_page_for_movers_answers_every_command_and_variable() -> None:
    """In the left column of a table."""
    before = "".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))
    assert [each for each in COMMANDS if f"`{each}`" not in before] == []
    variables = re.findall(r"^([A-Z_]+)=", AS_DOCUMENTED, re.MULTILINE)
    assert [each for each in variables if f"`{each}`" not in before] == []


def test_the_page_for_movers_says_how_to_have_it_as_it_was(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / ".env").write_text(block, encoding="utf-8")
    settings = load_settings({}, env_file=tmp_path / ".env")
    assert (settings.capabilities, settings.registration_mode) == ({"solve"}, "invite")
    assert (settings.require_email_verification, settings.password_hasher) == (True, "argon2id")
    assert settings.api_key_default_days is None


def test_the_page_for_movers_names_every_old_path() -> None:
    for former in (*FORMER_PATHS, *MOVED_PAGES):
        path = former.split()[-1]
        if path.startswith(("/api/customers/", "/api/core/", "/api/docs/", "/api/schema/")):
            assert re.sub(r"<\w+:\w+>", "{id}", path).rpartition("/")[2] in PAGE, former
