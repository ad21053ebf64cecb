"""The pages that Stripe leads back to where no app does: they only say what happens next, and believe nothing."""

from dataclasses import dataclass

from flask import Blueprint, render_template

from payments.stripe.redirects import RETURN_PAGES
from security.api.answers import Page
from security.api.operation import Answer, Anyone, operation
from security.pages.html_page import PageBlueprint, page_policy


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
    routes = PageBlueprint("return_pages", __name__, url_prefix=RETURN_PAGES)
    for page in PAGES:
        _show(routes, page)
    return routes


def _show(routes: Blueprint, page: ReturnPage) -> None:
    @operation(
        routes,
        "GET",
        f"/{page.name}",
        operation_id=page.name,
        summary=page.title,
        guard=Anyone("Stripe sends the buyer's browser here"),
        answers={200: Page(page_policy())},
    )
    def show() -> Answer:
        return Answer(200, render_template("message.html", title=page.title, text=page.text))
