"""The documentation pages: Swagger UI at `/docs`, Redoc at `/redoc`, from our own assets under a strict
policy.
"""

from flask import Blueprint, Response

from security.pages.html_page import PageBlueprint, html_page

DOCS_BLUEPRINT = "docs"
_REDOC_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
)
"""The two style elements that Redoc makes while it loads, by their text: an empty one, which it then fills
rule by rule through the CSSOM, and its scroll bars. A new version of Redoc may need another hash; the browser
test tells.
"""


def docs_routes(title: str) -> Blueprint:
    """`title` is the pages' title.

    Both pages read `/openapi.json` in the browser and nothing from another address.
    """
    routes = PageBlueprint(DOCS_BLUEPRINT, __name__, assets="/docs/assets")

    @routes.get("/docs")
    def swagger() -> Response:
        return html_page("swagger.html", scripts=True, title=title)

    @routes.get("/redoc")
    def redoc() -> Response:
        return html_page("redoc.html", scripts=True, styles=_REDOC_STYLES, title=title)

    return routes
