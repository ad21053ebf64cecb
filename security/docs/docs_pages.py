"""The documentation pages: Swagger UI at `/docs`, Redoc at `/redoc`, from our own assets under a strict policy."""

from typing import Literal

from flask import Blueprint, render_template

from security.api.answers import Page
from security.api.operation import Answer, Anyone, operation
from security.pages.html_page import PageBlueprint, page_policy

_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
)
"""The two style elements that Redoc makes while it loads, by their text: an empty one, which it then fills rule by rule
through the CSSOM, and its scroll bars. A new version of Redoc may need another hash; the browser test tells.
"""


def docs_routes(title: str) -> Blueprint:
    """`title` is the pages' title.

    Both pages read `/openapi.json` in the browser and nothing from another address.
    """
    routes = PageBlueprint("docs", __name__, assets="/docs/assets")
    _show(routes, "swagger", title)
    _show(routes, "redoc", title, styles=_REDOC_STYLES)
    return routes


def _show(routes: Blueprint, viewer: Literal["swagger", "redoc"], title: str, styles: tuple[str, ...] = ()) -> None:
    @operation(
        routes,
        "GET",
        "/redoc" if viewer == "redoc" else "/docs",
        operation_id=viewer,
        summary="Read about this API",
        guard=Anyone("developers read it before they have an account"),
        answers={200: Page(page_policy(scripts=True, styles=styles), indexed=True)},
    )
    def show() -> Answer:
        return Answer(200, render_template(f"{viewer}.html", title=title))
