"""Every route of the dashboard and of the API for staff: nobody gets in who should not, whoever adds a route."""

import re
from functools import cache
from uuid import UUID

from flask import Flask
from werkzeug.test import TestResponse

from app import assemble
from auth.page_sessions.pages import SHOWS
from auth.page_sessions.site import ADMIN
from auth.principal import Role
from config import load_settings
from security.api.operation import OPERATIONS_KEY, Anyone, Operation
from tests.admin.dashboard import BASE, FROM_A_PAGE_OF_OURS, PAGE, Dashboard, Staff
from tests.auth.accounts_app import bearer
from tests.test_app import NOWHERE
from tests.whole.environment import EVERYTHING, production_environment

OPEN = {
    ("GET", "/admin/"),
    ("GET", "/admin/sign-in"),
    ("POST", "/admin/sign-in"),
    ("GET", "/admin/sign-in/code"),
    ("POST", "/admin/sign-in/code"),
    ("POST", "/admin/sign-in/code/passkey"),
}
ANY_ID = UUID("00000000-0000-7000-8000-000000000000")


def admin_routes(app: Flask) -> list[Operation]:
    declared: dict[str, Operation] = app.extensions[OPERATIONS_KEY]
    below = ("/admin", "/api/admin", "/api/auth/admin")
    return [each for each in declared.values() if each.path.startswith(below)]


def role_of(route: Operation) -> Role:
    """The one that its guard asks for."""
    role: Role = getattr(route.guard, "role", None) or Role.USER
    return role


@cache
def routes() -> list[Operation]:
    environ = {**production_environment(NOWHERE, "https://predict.example.com"), **EVERYTHING}
    return admin_routes(assemble(load_settings(environ)))


def guarded() -> list[Operation]:
    return [each for each in routes() if each.guard.scheme is not None]


def pages() -> list[Operation]:
    return [each for each in guarded() if each.guard.scheme == ADMIN.scheme]


def address(route: Operation) -> str:
    """With an id, or the first of the names, for each of its arguments."""
    return re.sub(r"<(?:any\(\"([^\"]*)\"[^)]*\)|uuid):[^>]*>", lambda match: match[1] or str(ANY_ID), route.path)


def name_of(route: Operation) -> str:
    return f"{route.method} {route.path}"


def ask(dashboard: Dashboard, route: Operation, who: Staff | None) -> TestResponse:
    """With the form's token, where it is a form."""
    if route.guard.scheme != ADMIN.scheme:
        token = {} if who is None else bearer(access_token(dashboard, who))
        body: dict[str, str] | None = {} if route.method in {"POST", "PUT", "PATCH"} else None
        return dashboard.stranger.open(address(route), method=route.method, headers=token, json=body, base_url=BASE)
    if who is not None:
        return who.get(address(route)) if route.method == "GET" else who.post(address(route))
    headers = PAGE if route.method == "GET" else FROM_A_PAGE_OF_OURS
    return dashboard.stranger.open(address(route), method=route.method, headers=headers, base_url=BASE)


def heading(page: TestResponse) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    return "" if found is None else found[1]


def access_token(dashboard: Dashboard, who: Staff) -> str:
    now = dashboard.auth.clock()
    made = dashboard.auth.access_tokens.issue(
        user_id=who.user_id, session_id=who.session_id, auth_time=now, not_after=now.replace(year=now.year + 1)
    )
    return made.text


def test_nobody_is_let_in_without_a_sign_in(dashboard: Dashboard) -> None:
    answers = {name_of(each): ask(dashboard, each, None).status_code for each in guarded()}
    assert set(answers.values()) == {401}, answers


def test_a_user_is_let_in_nowhere(dashboard: Dashboard) -> None:
    alice = dashboard.staff(Role.USER)
    answers = {name_of(each): ask(dashboard, each, alice).status_code for each in guarded()}
    assert set(answers.values()) == {403}, answers


def test_support_is_refused_where_only_admins_may(dashboard: Dashboard) -> None:
    support = dashboard.staff(Role.SUPPORT)
    admins_alone = [each for each in guarded() if role_of(each) is Role.ADMIN]
    answers = {name_of(each): ask(dashboard, each, support).status_code for each in admins_alone}
    assert set(answers.values()) <= {403}, answers


def test_no_form_is_taken_without_its_token(dashboard: Dashboard) -> None:
    admin = dashboard.staff(Role.ADMIN)
    forms = [each for each in pages() if each.method != "GET"]
    answers = {name_of(each): admin.post(address(each), csrf=False).status_code for each in forms}
    assert set(answers.values()) == {403}, answers


def test_no_form_of_another_site_is_taken(dashboard: Dashboard) -> None:
    admin = dashboard.staff(Role.ADMIN)
    token = {"csrf_token": admin.sessions.pages.csrf_token(admin.session_id)}
    headers = {**PAGE, "Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"}
    forms = [each for each in pages() if each.method != "GET"]
    answers = {
        name_of(each): admin.client.post(address(each), data=token, headers=headers, base_url=BASE).status_code
        for each in forms
    }
    assert set(answers.values()) == {403}, answers


def test_every_page_opens_for_admins_and_an_unknown_id_is_said(dashboard: Dashboard) -> None:
    admin = dashboard.staff(Role.ADMIN)
    answers = {name_of(each): admin.get(address(each)).status_code for each in pages() if each.method == "GET"}
    assert set(answers.values()) <= {200, 303, 404, 409, 422}, answers  # 422: its query must say which job
    assert answers["GET /admin"] == 200


def test_a_page_that_opens_opens_without_a_filter_that_it_does_not_know(dashboard: Dashboard) -> None:
    admin, said = dashboard.staff(Role.ADMIN), "Some filters are not valid and were left out: colour"
    with_filters = [
        address(each) for each in pages() if each.query is not None and SHOWS.items() <= each.answers.items()
    ]
    plain = {each: admin.get(each) for each in with_filters}
    opened = {each: heading(page) for each, page in plain.items() if page.status_code == 200}
    assert len(opened) > 10, opened
    refused = {each: admin.get(f"{each}?colour=red") for each in opened}
    assert {each.status_code for each in refused.values()} == {422}
    assert {each: heading(page) for each, page in refused.items() if said in page.text} == opened


def test_pages_change_nothing_by_being_opened() -> None:
    assert {each.method for each in pages()} == {"GET", "POST"}


def test_what_is_open_is_known() -> None:
    open_to_all = {(each.method, each.path) for each in routes() if each.guard.scheme is None}
    assert {each for each in open_to_all if "/assets/" not in each[1]} == OPEN
    assert all(isinstance(each.guard, Anyone) for each in routes() if "/assets/" in each.path)
