"""Signing in to the dashboard, as a browser does it."""

import re
import secrets

import pyotp
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from auth.email_address import parse_email
from auth.operators.accounts import create_user
from auth.principal import Role
from tests.admin.dashboard import BASE, FROM_A_PAGE_OF_OURS, PAGE, Dashboard, text_of

PASSWORD = f"tulip {secrets.token_hex(6)}"
EMAIL = "ada@example.com"


class Browser:
    """Follows redirects, keeps cookies, and sends forms as they were shown."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.client: FlaskClient = dashboard.app.test_client()
        self.page: TestResponse

    def open(self, path: str) -> TestResponse:
        self.page = self.client.get(path, base_url=BASE, headers=PAGE)
        return self.page

    def send(self, **fields: str) -> TestResponse:
        """The form that is shown, but for signing out."""
        forms = re.findall(r'(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>', self.page.text)
        [(action, form)] = [each for each in forms if each[0] != "/admin/sign-out"]
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form))
        self.page = self.client.post(action, data={**hidden, **fields}, base_url=BASE, headers=FROM_A_PAGE_OF_OURS)
        if self.page.status_code == 303:
            return self.open(self.page.headers["Location"])
        return self.page

    def sign_in(self, password: str = PASSWORD) -> TestResponse:
        self.open("/admin/sign-in")
        return self.send(email=EMAIL, password=password)

    def secret(self) -> str:
        [found] = re.findall(r'class="secret">([^<]*)<', self.page.text)
        return str(found)


def account(dashboard: Dashboard, role: Role) -> None:
    with dashboard.app.app_context():
        create_user(dashboard.auth, parse_email(EMAIL), PASSWORD, role)


def test_the_first_sign_in_sets_up_the_second_factor_and_the_next_one_asks_for_it(dashboard: Dashboard) -> None:
    account(dashboard, Role.SUPPORT)
    first = Browser(dashboard)
    assert "Set up your second factor" in text_of(first.sign_in())
    assert first.open("/admin").status_code == 403
    secret = (first.open("/admin/second-factor"), first.secret())[1]
    wrong = first.send(code="000000")
    assert (wrong.status_code, first.secret()) == (400, secret)
    codes = re.findall(r"<li><code>([^<]*)</code>", first.send(code=pyotp.TOTP(secret).now()).text)
    assert len(codes) == 10
    assert first.open("/admin").status_code == 200

    second = Browser(dashboard)
    assert "Enter your code" in text_of(second.sign_in())
    assert "The code or passkey is wrong" in text_of(second.send(code="000000"))
    assert "Overview" in text_of(second.send(code=codes[0]))
    assert first.open("/admin").status_code == 200


def test_a_wrong_password_is_told_and_counted_as_everywhere(dashboard: Dashboard) -> None:
    account(dashboard, Role.ADMIN)
    browser = Browser(dashboard)
    page = browser.sign_in("not this one, sorry")
    assert page.status_code == 401
    assert "The e-mail address or the password is wrong" in text_of(page)
    assert f'value="{EMAIL}"' in page.text
    assert "not this one" not in page.text
    events = dashboard.query("SELECT event, detail->>'method' FROM security_events ORDER BY id DESC LIMIT 1")
    assert events == [("sign_in_failed", "password")]


def test_a_user_is_turned_away_and_stays_signed_out(dashboard: Dashboard) -> None:
    account(dashboard, Role.USER)
    browser = Browser(dashboard)
    page = browser.sign_in()
    assert (page.status_code, "no access to the dashboard" in text_of(page)) == (403, True)
    assert "Set-Cookie" not in page.headers
    assert dashboard.query("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == [(0,)]


def test_the_sign_in_leads_to_the_page_that_was_asked_for_and_nowhere_else(dashboard: Dashboard) -> None:
    account(dashboard, Role.ADMIN)
    browser = Browser(dashboard)
    browser.open("/admin/confirm-identity?x=1")
    assert 'name="leads_to" value="/admin/confirm-identity?x=1"' in browser.page.text
    for elsewhere in ("https://evil.example.com", "//evil.example.com", "/administer", "/admin\\evil"):
        assert browser.open("/admin/sign-in")
        refused = browser.send(email=EMAIL, password=PASSWORD, leads_to=elsewhere)
        assert refused.status_code == 422, elsewhere


def test_another_site_cannot_sign_a_visitor_in(dashboard: Dashboard) -> None:
    account(dashboard, Role.ADMIN)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://app.example.com"}, {}):
        answer = dashboard.stranger.post(
            "/admin/sign-in", data={"email": EMAIL, "password": PASSWORD}, headers={**PAGE, **headers}, base_url=BASE
        )
        assert answer.status_code == 403, headers


def test_signing_out_ends_the_session(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    gone = admin.post("/admin/sign-out")
    assert (gone.status_code, gone.headers["Location"]) == (303, "/admin/sign-in")
    assert "Max-Age=0" in gone.headers["Set-Cookie"]
    assert dashboard.query("SELECT revoke_reason FROM sessions") == [("signed_out",)]
