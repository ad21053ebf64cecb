"""The dashboard, put together: its own pages and those that it is handed."""

from collections.abc import Sequence

from flask import Flask

from admin.frame import Frame, FramePages
from admin.overview.figures import Overview
from admin.overview.minutes import LastHour
from admin.overview.routes import overview_pages
from admin.problem_pages import problem_page
from admin.prove_identity import proof_pages
from admin.sign_in import sign_in_pages
from auth.assembly import Auth
from auth.staff.guards import StaffGuards
from auth.staff.pages import AdminPages
from auth.staff.session import staff_sessions_of
from security.edge.error_handlers import PROBLEM_PAGES
from security.health.check import HealthCheck


def install_dashboard(app: Flask, auth: Auth, health: HealthCheck, pages: Sequence[AdminPages]) -> None:
    """`/admin`. `pages` stand in the navigation in this order."""
    sessions = staff_sessions_of(auth)
    guards = StaffGuards(sessions)
    routes = FramePages(Frame(sessions, pages))
    sign_in_pages(routes, sessions)
    proof_pages(routes, sessions)
    overview_pages(routes, Overview(LastHour(auth.clock), health), guards)
    app.register_blueprint(routes)
    for each in pages:
        app.register_blueprint(each.routes(guards))
    app.extensions[PROBLEM_PAGES] = problem_page
