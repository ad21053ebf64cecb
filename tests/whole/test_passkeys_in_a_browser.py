"""Passkeys in a real browser with an authenticator of its own, against the real web server on http://localhost."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from examples.private_server.server import PrivateServer
from tests.browser import CHROMIUM
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}

# What an app does, and nothing else: it asks the API, hands the options to the browser and posts what comes back.
APP = """
window.ask = async (method, path, body, token) => {
  const headers = token ? { Authorization: `Bearer ${token}` } : {}
  if (body) headers['Content-Type'] = 'application/json'
  const answer = await fetch(`/api/auth${path}`, { method, headers, body: body && JSON.stringify(body) })
  return { status: answer.status, body: answer.status === 204 ? null : await answer.json() }
}
window.create = async (options) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
  return (await navigator.credentials.create({ publicKey })).toJSON()
}
window.get = async (options) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
  return (await navigator.credentials.get({ publicKey })).toJSON()
}
"""


class App:
    """The page of an app, in which Alice has an account."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.credentials = {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"}
        self.token: str = self.ask("POST", "/register", self.credentials, status=201)["access_token"]

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, *, status: int = 200) -> Any:
        answer = self.page.evaluate("([...call]) => window.ask(...call)", [method, path, body, token])
        assert answer["status"] == status, answer
        return answer["body"]

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        return dict(self.page.evaluate("(options) => window.create(options)", options))

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        return dict(self.page.evaluate("(options) => window.get(options)", options))

    def register_passkey(self) -> dict[str, Any]:
        options = self.ask("POST", "/passkeys/registration/options", None, self.token)["options"]
        body = {"name": "laptop", "credential": self.create(options)}
        return dict(self.ask("POST", "/passkeys/registration", body, self.token, status=201))


@pytest.fixture
def browser_app(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer, browser: Browser
) -> Iterator[App]:
    environ = production_environment(database_url, private.url, redis_url)
    del environ["PUBLIC_BASE_URL"]  # in development that is http://localhost and the port
    server = start_web_server({**environ, "FLASK_ENV": "development", "BCRYPT_COST": "4"}, processes=1)
    page = browser.new_page()
    page.add_init_script(APP)
    page.goto(f"http://localhost:{server.port}/account/forgot-password")
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    yield App(page)
    page.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_passkey_is_registered_and_signs_in_alone_and_after_a_password(browser_app: App) -> None:
    app = browser_app
    added = app.register_passkey()
    assert (added["passkey"]["name"], len(added["recovery_codes"])) == ("laptop", 10)

    options = app.ask("POST", "/passkeys/sign-in/options")["options"]
    tokens = app.ask("POST", "/passkeys/sign-in", {"credential": app.get(options)})
    assert app.ask("GET", "/profile", None, tokens["access_token"])["email"] == "alice@example.com"

    problem = app.ask("POST", "/login", app.credentials, status=401)
    assert (problem["error"], problem["methods"]) == ("mfa_required", ["passkey", "recovery_code"])
    waiting = {"challenge": problem["challenge"]}
    options = app.ask("POST", "/login/second-factor/passkey/options", waiting)["options"]
    tokens = app.ask("POST", "/login/second-factor", {**waiting, "passkey": app.get(options)})
    [passkey] = app.ask("GET", "/passkeys", None, tokens["access_token"])["passkeys"]
    assert passkey["last_used_at"] is not None
