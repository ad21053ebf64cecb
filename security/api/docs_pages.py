"""The documentation pages: Swagger UI at `/docs`, Redoc at `/redoc`, from our own assets under a strict
policy.
"""

from pathlib import Path

from flask import Blueprint, Response, make_response, render_template

from security.api.assets import serve_assets
from security.edge.response_headers import CONTENT_SECURITY_POLICY

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
    routes = Blueprint(DOCS_BLUEPRINT, __name__, template_folder="templates")
    serve_assets(routes, Path(__file__).with_name("static"), "/docs/assets")

    @routes.get("/docs")
    def swagger() -> Response:
        return _page("swagger.html", title, styles=())

    @routes.get("/redoc")
    def redoc() -> Response:
        return _page("redoc.html", title, styles=_REDOC_STYLES)

    return routes


def _page(template: str, title: str, styles: tuple[str, ...]) -> Response:
    response = make_response(render_template(template, title=title))
    allowed_styles = " ".join(("'self'", *styles))
    response.headers[CONTENT_SECURITY_POLICY] = (
        f"default-src 'none'; script-src 'self'; style-src {allowed_styles}; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return response
