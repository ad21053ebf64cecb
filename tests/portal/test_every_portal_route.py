"""Every route of the portal: only who is signed in there gets in, and a form is taken from its own page alone."""

from app import assemble
from auth.page_sessions.site import PORTAL
from config import load_settings
from security.api.operation import OPERATIONS_KEY, Operation
from tests.admin.dashboard import BASE, FROM_A_PAGE_OF_OURS, PAGE, Dashboard
from tests.admin.test_every_admin_route import address, name_of
from tests.test_app import NOWHERE
from tests.whole.environment import EVERYTHING, production_environment


def routes() -> list[Operation]:
    environ = {**production_environment(NOWHERE, "https://predict.example.com"), **EVERYTHING}
    declared: dict[str, Operation] = assemble(load_settings(environ)).extensions[OPERATIONS_KEY]
    return [each for each in declared.values() if PORTAL.has(each.path)]


GUARDED = [each for each in routes() if each.guard.scheme is not None]


def test_there_are_some_and_what_is_open_is_known() -> None:
    assert {each.guard.scheme for each in GUARDED} == {PORTAL.scheme}
    open_to_all = {name_of(each) for each in routes() if each.guard.scheme is None and "/assets/" not in each.path}
    signing_in = ("GET {}", "POST {}", "GET {}/code", "POST {}/code", "POST {}/code/passkey")
    assert open_to_all == {each.format("/portal/sign-in") for each in signing_in} | {"GET /portal/"}


def test_nobody_is_let_in_without_a_sign_in(dashboard: Dashboard) -> None:
    answers = {}
    for each in GUARDED:
        headers = PAGE if each.method == "GET" else FROM_A_PAGE_OF_OURS
        answer = dashboard.stranger.open(address(each), method=each.method, headers=headers, base_url=BASE)
        answers[name_of(each)] = answer.status_code
    assert set(answers.values()) == {401}, answers


def test_the_session_of_the_dashboard_opens_no_page_of_the_portal_and_the_other_way_round(dashboard: Dashboard) -> None:
    admin, customer = dashboard.staff(), dashboard.customer()
    assert (admin.get("/admin").status_code, admin.get("/portal").status_code) == (200, 401)
    assert (customer.get("/portal").status_code, customer.get("/admin").status_code) == (200, 401)


def test_no_form_is_taken_without_its_token_or_from_another_site(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    token = {"csrf_token": customer.sessions.pages.csrf_token(customer.session_id)}
    elsewhere = {**PAGE, "Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"}
    answers = {}
    for each in GUARDED:
        if each.method != "GET":
            foreign = customer.client.post(address(each), data=token, headers=elsewhere, base_url=BASE).status_code
            answers[name_of(each)] = (customer.post(address(each), csrf=False).status_code, foreign)
    assert set(answers.values()) == {(403, 403)}, answers


def test_every_page_opens_also_for_a_new_account(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    answers = {name_of(each): customer.get(address(each)).status_code for each in GUARDED if each.method == "GET"}
    assert set(answers.values()) <= {200, 404, 409}, answers
    assert answers["GET /portal"] == 200
