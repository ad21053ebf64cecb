"""Pages for people: one frame, one style, and a policy that allows nothing but what we serve ourselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flask import Blueprint
from jinja2 import BaseLoader, FileSystemLoader
from werkzeug.utils import cached_property

from security.pages.assets import serve_assets

HERE: Final = Path(__file__).parent
SELF: Final = "'self'"


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


def page_policy(*, scripts: bool = False, styles: Sequence[str] = ()) -> str:
    """For `Page`. `scripts`: the page has scripts of ours, which may call the API. `styles`: hashes of inline styles."""
    run, call = ("script-src 'self'; ", "; connect-src 'self'") if scripts else ("", "")
    return f"{run}style-src {' '.join((SELF, *styles))}; img-src data:{call}"
