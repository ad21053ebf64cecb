"""The frame of the dashboard: who gets in, and how."""

from auth.principal import Role
from tests.admin.dashboard import BASE, PAGE, Dashboard, text_of


def test_a_stranger_is_shown_the_sign_in(dashboard: Dashboard) -> None:
    page = dashboard.stranger.get("/admin", base_url=BASE, headers=PAGE)
    assert (page.status_code, 'action="/admin/sign-in"' in page.text) == (401, True)


def test_staff_sees_the_overview(dashboard: Dashboard) -> None:
    page = dashboard.staff(Role.SUPPORT).get("/admin")
    assert page.status_code == 200
    assert "Overview" in text_of(page)


def test_requests_that_one_thread_serves_share_nothing(dashboard: Dashboard) -> None:
    """The web server enters one application context for each thread, so `flask.g` lives on from one request to the next."""
    alice, admin = dashboard.user(), dashboard.staff(Role.ADMIN)
    path = f"/admin/accounts/{alice}/tier"
    with dashboard.app.app_context():
        assert admin.post(path, {"tier": "gold"}).status_code == 422
        assert "Some fields are not valid" not in text_of(admin.get(path))
        assert admin.post(path, {"tier": "pro", "reason": "Ticket 4711"}, csrf=False).status_code == 403
        refused = dashboard.stranger.get("/admin", base_url=BASE, headers=PAGE)
        assert (refused.status_code, admin.email in refused.text) == (401, False)
    assert dashboard.query("SELECT tier FROM users WHERE id = :alice", alice=alice) == [("free",)]
