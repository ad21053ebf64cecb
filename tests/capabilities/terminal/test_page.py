"""/portal/terminal: who gets the page, what it may do, and what the token of its script opens"""

import hashlib
import re
from pathlib import Path

import pytest

import capabilities.terminal.page
from app import assemble
from config import load_settings
from tests.admin.dashboard import BASE, PAGE, Dashboard, Staff
from tests.auth.accounts_app import bearer
from tests.capabilities.terminal.running_terminal import KEYS, KNOWN_HOSTS, PROFILES, RunningTerminal
from tests.whole.environment import PUBLIC_HOST, production_environment

PATH = "/portal/terminal"
STATIC = Path(capabilities.terminal.page.__file__).parent / "static"
VENDORED = {"xterm.js", "xterm.css", "xterm-fit.js"}


@pytest.fixture
def visitor(running: RunningTerminal) -> Staff:
    return Dashboard(running.app).customer()


def token_of(visitor: Staff) -> str:
    return str(visitor.post(f"{PATH}/token").get_json()["access_token"])


def test_the_short_address_leads_to_the_page_which_asks_for_a_sign_in(running: RunningTerminal) -> None:
    client = running.app.test_client()
    door = client.get("/terminal", base_url=BASE, headers=PAGE)
    assert (door.status_code, door.headers["Location"]) == (303, PATH)
    assert client.get(PATH, base_url=BASE, headers=PAGE).status_code == 401


def test_without_the_setting_there_is_no_page() -> None:
    environ = production_environment("postgresql://app@127.0.0.1:1/app", "https://predict.example.com")
    client = assemble(load_settings({**environ, "CAPABILITIES": "terminal"})).test_client()
    for path in ("/terminal", PATH, f"{PATH}/assets/terminal.js"):
        assert client.get(path, base_url=BASE).status_code == 404, path


def test_the_page_runs_nothing_and_connects_to_nothing_but_ours(visitor: Staff) -> None:
    page = visitor.get(PATH)
    assert page.headers.getlist("Content-Security-Policy") == [
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:;"
        f" connect-src 'self' wss://{PUBLIC_HOST}; require-trusted-types-for 'script'; trusted-types 'none';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ]
    assert f'data-socket="wss://{PUBLIC_HOST}/ws/terminal"' in page.text
    assert re.findall(r"<script(?! (?:type=\"module\" )?src=\"/)|<style| style=| on\w+=|https?://", page.text) == []
    assert "eyJ" not in page.text


def test_its_scripts_keep_nothing_and_make_no_markup(visitor: Staff) -> None:
    names = {file.name for file in STATIC.glob("*.js")} - VENDORED
    assert "terminal_socket.js" in names
    for name in names:
        script = visitor.client.get(f"{PATH}/assets/{name}", base_url=BASE)
        assert script.status_code == 200, name
        kept = r"localStorage|sessionStorage|document\.cookie|indexedDB|\beval\b|innerHTML|insertAdjacentHTML"
        assert re.findall(kept, script.text) == [], name


def test_what_is_of_others_is_as_it_was_published(visitor: Staff) -> None:
    recorded = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|$", (STATIC / "README.md").read_text(), re.MULTILINE))
    assert set(recorded) == VENDORED
    for name, digest in recorded.items():
        served = visitor.client.get(f"{PATH}/assets/{name}", base_url=BASE)
        assert hashlib.sha256(served.data).hexdigest() == digest, name


def test_its_token_opens_the_terminal_and_nothing_else(running: RunningTerminal, visitor: Staff) -> None:
    client, token = running.app.test_client(), token_of(visitor)
    for path in (PROFILES, KEYS, KNOWN_HOSTS, "/api/terminal/sessions", "/api/terminal/sync"):
        assert client.get(path, base_url=BASE, headers=bearer(token)).status_code == 200, path
    for path in ("/api/auth/profile", "/api/auth/tokens", "/api/auth/sessions", "/api/payments/subscription"):
        refused = client.get(path, base_url=BASE, headers=bearer(token))
        assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope"), path


def test_without_the_form_token_of_the_page_there_is_none(visitor: Staff) -> None:
    assert visitor.post(f"{PATH}/token", csrf=False).status_code == 403


def test_a_key_is_added_by_those_who_proved_who_they_are(running: RunningTerminal, visitor: Staff) -> None:
    """The page sends the others to a page that asks for the password, and leads back."""
    client = running.app.test_client()

    def add(name: str) -> int:
        body = {"name": name, "generate": "ed25519"}
        return client.post(KEYS, json=body, base_url=BASE, headers=bearer(token_of(visitor))).status_code

    assert add("first") == 201
    back = visitor.get(f"{PATH}/confirm")
    assert (back.status_code, back.headers["Location"]) == (303, PATH)
    visitor.grow_old(minutes=6)
    assert add("second") == 401
    asks = visitor.get(f"{PATH}/confirm")
    assert asks.status_code == 401 and f'name="leads_to" value="{PATH}/confirm"' in asks.text
