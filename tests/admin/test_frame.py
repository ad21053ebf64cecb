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
