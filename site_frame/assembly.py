"""Sites, put together: the pages that all have (sign-in, proof, problems), and those that each is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from flask import Flask

from auth.assembly import Auth
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SitePages, Subject
from auth.page_sessions.session import page_sessions_of
from auth.page_sessions.site import Site
from security.edge.error_handlers import PROBLEM_PAGES
from site_frame.frame import Frame, FrameOfPages
from site_frame.problem_pages import problem_page
from site_frame.prove_identity import proof_pages
from site_frame.sign_in import sign_in_pages


@dataclass(frozen=True)
class SiteContent:
    """`root` makes the pages that belong to no subject: a `RootPages` with the page at the site's root, which the navigation calls
    `first`. `subjects` stand in the navigation in this order.
    """

    site: Site
    first: str
    root: Callable[[PageGuards], SitePages]
    subjects: Sequence[Subject]


def install_sites(app: Flask, auth: Auth, contents: Sequence[SiteContent], currency: str) -> None:
    frames = []
    for content in contents:
        sessions = page_sessions_of(auth, content.site)
        guards = PageGuards(sessions)
        frames.append(Frame(sessions, content.subjects, content.first))
        routes = content.root(guards)
        sign_in_pages(routes, sessions)
        proof_pages(routes, sessions)
        app.register_blueprint(routes)
        for each in content.subjects:
            app.register_blueprint(each.routes(guards))
    app.register_blueprint(FrameOfPages(frames, currency))
    app.extensions[PROBLEM_PAGES] = partial(problem_page, [content.site for content in contents])
