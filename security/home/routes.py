"""`GET /`: where a newcomer begins. A browser is shown a page; a program gets the same links as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, current_app, render_template, request

from security.api.answers import Page
from security.api.models import AnswerBody
from security.api.operation import Answer, Anyone, operation
from security.pages.html_page import PageBlueprint, page_policy

PREDICT = "/api/gateway/predict"
VARY = {"Vary": "Accept"}


@dataclass(frozen=True)
class Link:
    """`name` is its member in the JSON, `label` and `text` are for people."""

    name: str
    href: str
    label: str
    text: str


class Home(AnswerBody):
    name: str
    version: str
    links: dict[str, str]
    """The links by name. Paths are on this server."""


def home_routes(name: str, version: str, *, base_url: str, mail_box_url: str | None) -> Blueprint:
    """`base_url` is where clients reach the API. `mail_box_url` is the page of a developer's machine that shows e-mails."""
    routes = PageBlueprint("home", __name__)
    links = tuple(_links(mail_box_url))
    document = Home(name=name, version=version, links={link.name: link.href for link in links})

    @operation(
        routes,
        "GET",
        "/",
        operation_id="getHome",
        summary="Find your way around",
        guard=Anyone("it says nothing but where everything is"),
        answers={200: (Home, Page(page_policy(), indexed=True))},
    )
    def home() -> Answer:
        """Links to the documentation and the health check. A browser gets a page with the first steps."""
        # For `*/*`, and for what is neither, the first one counts: JSON.
        if request.accept_mimetypes.best_match(("application/json", "text/html")) != "text/html":
            return Answer(200, document, VARY)
        predicts = any(rule.rule == PREDICT for rule in current_app.url_map.iter_rules())
        known = {"title": name, "links": links, "base_url": base_url, "mail_box_url": mail_box_url}
        return Answer(200, render_template("home.html", **known, predicts=predicts), VARY)

    return routes


def _links(mail_box_url: str | None) -> Iterator[Link]:
    yield Link("documentation", "/docs", "Documentation", "Read about every operation and try it out (Swagger UI)")
    yield Link("reference", "/redoc", "Reference", "The same reference on one page (Redoc)")
    yield Link("openapi", "/openapi.json", "OpenAPI document", "For client generators and API tools")
    yield Link("health", "/health", "Health", "Check whether the API is up")
    if mail_box_url is not None:
        yield Link("mail_box", mail_box_url, "Mail box", "E-mails from this machine; none of them is sent")
