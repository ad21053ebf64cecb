"""The frame of every page of the dashboard."""

from auth.principal import Role
from tests.admin.dashboard import BASE, PAGE, Dashboard, text_of


def test_a_stranger_is_shown_the_sign_in(dashboard: Dashboard) -> None:
    page = dashboard.stranger.get("/admin", base_url=BASE, headers=PAGE)
    assert (page.status_code, 'action="/admin/sign-in"' in page.text) == (401, True)


def test_staff_sees_the_overview(dashboard: Dashboard) -> None:
    page = dashboard.staff(Role.SUPPORT).get("/admin")
    assert page.status_code == 200
    assert "Overview" in text_of(page)


def test_a_request_knows_nothing_of_the_one_before(dashboard: Dashboard) -> None:
    """A thread of the web server has one application context for all."""
    admin = dashboard.staff()
    with dashboard.app.app_context():
        assert admin.email in admin.post("/admin/confirm-identity", {"password": ""}).text
        stranger = dashboard.stranger.get("/admin/nothing", base_url=BASE, headers=PAGE)
        assert (stranger.status_code, admin.email in stranger.text) == (404, False)
        assert "Some fields are not valid" not in admin.get("/admin/confirm-identity").text


def test_a_problem_is_a_page_for_browsers_and_json_for_programs(dashboard: Dashboard) -> None:
    page = dashboard.stranger.get("/admin/nothing", base_url=BASE, headers=PAGE)
    assert (page.status_code, page.headers["X-Request-ID"] in text_of(page)) == (404, True)
    for path, headers in (("/admin/nothing", {}), ("/administer", PAGE)):
        answer = dashboard.stranger.get(path, base_url=BASE, headers=headers)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json"), path


def test_a_password_is_never_shown_again(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    page = admin.post("/admin/confirm-identity", {"password": "tulip-9-orbit", "code": "123456"})
    assert (page.status_code, "tulip-9-orbit" in page.text, "123456" in page.text) == (401, False, False)
