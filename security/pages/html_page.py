"""Pages for people: one frame, one style, and a policy that allows nothing but what we serve ourselves."""

from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template
from jinja2 import BaseLoader, FileSystemLoader
from werkzeug.utils import cached_property

from security.edge.response_headers import CONTENT_SECURITY_POLICY
from security.pages.assets import serve_assets

HERE: Final = Path(__file__).parent


class PageBlueprint(Blueprint):
    """The pages of one module, with the `templates` and `static` beside it and those that all pages share.

    `asset('page.css')` in a template is the address of a file of either `static`; all are served under `assets`.
    """

    def __init__(self, name: str, import_name: str, *, url_prefix: str | None = None, assets: str = "/assets") -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        serve_assets(self, self._folders("static"), assets)

    @cached_property
    def jinja_loader(self) -> BaseLoader:
        return FileSystemLoader(self._folders("templates"))

    def _folders(self, name: str) -> list[Path]:
        """A page may need nothing beyond what is shared."""
        return [folder for folder in dict.fromkeys((Path(self.root_path) / name, HERE / name)) if folder.is_dir()]


def html_page(template: str, *, scripts: bool = False, styles: tuple[str, ...] = (), **values: Any) -> Response:
    """`scripts`: the page has scripts of ours, which may call the API. `styles`: hashes of inline styles that it needs."""
    response = make_response(render_template(template, **values))
    allowed_styles = " ".join(("'self'", *styles))
    run, call = ("script-src 'self'; ", "connect-src 'self'; ") if scripts else ("", "")
    response.headers[CONTENT_SECURITY_POLICY] = (
        f"default-src 'none'; {run}style-src {allowed_styles}; img-src data:; {call}"
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response
