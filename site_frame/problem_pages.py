"""Problems as pages of a site. A form that was not taken is shown again, with what was typed and what is wrong.

Filters of a list are such a form too: those that are not valid are left out.
"""

from collections.abc import Callable, Collection
from typing import Any

from flask import Response, current_app, render_template, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException

from auth.middleware import SAFE_METHODS, InsufficientRole
from auth.page_sessions.guards import NotSignedIn, ProofTooOld, SecondFactorMissing
from auth.page_sessions.pages import PAGE
from auth.page_sessions.site import Site
from auth.second_factor.finish import SignInChallengeNotValid
from auth.sessions.cookies import CsrfFailed
from security.api.answers import Answer
from security.api.operation import OPERATIONS_KEY
from security.api.request_bodies import FORM_FIELDS
from security.edge.problems import MethodNotAllowed, Problem, ValidationFailed
from site_frame.frame import FORM_PROBLEM

TEMPLATES: dict[type[Problem], str] = {
    NotSignedIn: "site_sign_in.html",
    ProofTooOld: "site_step_up.html",
    SecondFactorMissing: "site_second_factor_missing.html",
    SignInChallengeNotValid: "site_sign_in.html",
}
SHOWN_WITHOUT_FORM = (*TEMPLATES, CsrfFailed, InsufficientRole, MethodNotAllowed)


def problem_page(sites: Collection[Site], problem: Problem) -> Response | None:
    """None for what no browser asks for as a page of one of these."""
    if not any(site.has(request.path) for site in sites):
        return None
    if "text/html" not in request.environ.get("HTTP_ACCEPT", ""):
        return None
    page = (
        _without_wrong_filters(problem)
        or _form_again(problem)
        or PAGE.respond(Answer(problem.status, _text_of(problem)))
    )
    page.status_code = problem.status
    page.headers.update(problem.headers)
    return page


def _text_of(problem: Problem) -> str:
    template = TEMPLATES.get(type(problem), "site_problem.html")
    return render_template(template, title=problem.title, problem=problem, leads_to=form_address())


def form_address() -> str:
    """The page that was asked for, or the one whose form was sent: a form posts to the address that shows it."""
    return request.full_path.rstrip("?")


def _form_again(problem: Problem) -> Response | None:
    """The page with the form, when there is one at the same address. An act is never repeated for it."""
    if request.method in SAFE_METHODS or isinstance(problem, SHOWN_WITHOUT_FORM) or problem.status == 500:
        return None
    if FORM_PROBLEM in request.environ:
        return None
    shows: Any = current_app.create_url_adapter(request)
    try:
        rule, arguments = shows.match(method="GET", return_rule=True)
    except HTTPException:
        return None
    request.environ[FORM_PROBLEM] = problem
    view: Callable[..., Response] = current_app.view_functions[rule.endpoint]  # type: ignore[assignment] # of @operation
    return view(**arguments)


def _without_wrong_filters(problem: Problem) -> Response | None:
    """The page that was asked for, with the filters that are valid. None where it cannot be shown without the others."""
    if (
        request.method not in SAFE_METHODS
        or not isinstance(problem, ValidationFailed)
        or FORM_PROBLEM in request.environ
    ):
        return None
    endpoint = request.endpoint or ""
    declared = current_app.extensions[OPERATIONS_KEY].get(endpoint)
    if declared is None or declared.answers.get(200) is not PAGE:
        return None
    sent, errors = request.args, problem.members["errors"]
    wrong = {each["pointer"].split("/")[1] for each in errors if each["pointer"]}
    told = ValidationFailed(errors)
    told.detail = f"Some filters are not valid and were left out: {', '.join(sorted(wrong))}"
    request.environ[FORM_PROBLEM], request.environ[FORM_FIELDS] = told, sent
    request.args = ImmutableMultiDict((name, text) for name, text in sent.items(multi=True) if name not in wrong)
    page: Response = current_app.view_functions[endpoint](**(request.view_args or {}))  # type: ignore[assignment] # of @operation
    if page.status_code == 200:
        return page
    del request.environ[FORM_PROBLEM]
    return None
