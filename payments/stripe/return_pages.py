"""The pages that Stripe leads back to where no app does: they only say what happens next, and believe nothing."""

from dataclasses import dataclass
from functools import partial

from flask import Blueprint

from payments.stripe.redirects import RETURN_PAGES
from security.pages.html_page import PageBlueprint, html_page


@dataclass(frozen=True)
class ReturnPage:
    name: str
    title: str
    text: str


PAGES = (
    ReturnPage(
        "paid",
        "Thank you",
        "Your plan starts as soon as Stripe confirms the payment. That usually takes less than a minute; a bank debit can take"
        " a few days. You can close this page and go back to the app.",
    ),
    ReturnPage(
        "cancelled", "Nothing was bought", "You have not been charged. You can close this page and go back to the app."
    ),
    ReturnPage("managed", "All done", "Changes you made are saved. You can close this page and go back to the app."),
)


def return_pages() -> Blueprint:
    """`/billing/…`, with a style sheet of our own under a policy that allows nothing else."""
    routes = PageBlueprint("return_pages", __name__, url_prefix=RETURN_PAGES)
    for page in PAGES:
        show = partial(html_page, "message.html", title=page.title, text=page.text)
        routes.add_url_rule(f"/{page.name}", endpoint=page.name, view_func=show, methods=["GET"])

    return routes
