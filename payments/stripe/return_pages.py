"""The pages that Stripe leads back to where no app does: they only say what happens next, and believe nothing."""

from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, make_response, render_template

from payments.stripe.redirects import RETURN_PAGES
from security.api.assets import serve_assets
from security.edge.response_headers import CONTENT_SECURITY_POLICY

POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class ReturnPage:
    name: str
    title: str
    text: str


PAGES = (
    ReturnPage(
        "paid",
        "Thank you",
        "Your plan starts when Stripe confirms the payment. This usually takes less than a minute. A bank debit can take"
        " a few days. You can close this page and go back to the app.",
    ),
    ReturnPage(
        "cancelled", "Payment cancelled", "You have not been charged. You can close this page and go back to the app."
    ),
    ReturnPage("managed", "All done", "Your changes are saved. You can close this page and go back to the app."),
)


def return_pages() -> Blueprint:
    """`/billing/…`, with a style sheet of our own under a policy that allows nothing else."""
    routes = Blueprint(
        "return_pages",
        __name__,
        url_prefix=RETURN_PAGES,
        template_folder="templates",
    )
    serve_assets(routes, Path(__file__).with_name("static"), "/assets")
    for page in PAGES:
        _show(routes, page)

    return routes


def _show(routes: Blueprint, page: ReturnPage) -> None:
    def show() -> Response:
        response = make_response(render_template("return_page.html", page=page))
        response.headers[CONTENT_SECURITY_POLICY] = POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["X-Robots-Tag"] = "noindex"
        return response

    routes.add_url_rule(f"/{page.name}", endpoint=page.name, view_func=show, methods=["GET"])
