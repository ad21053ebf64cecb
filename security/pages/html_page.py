"""Pages for people: one frame, one style, and a policy that allows nothing but what we serve ourselves."""

from collections.abc import Sequence
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, request
from jinja2 import BaseLoader, FileSystemLoader
from werkzeug.utils import cached_property

from security.api.answers import StaticFile
from security.api.compressible import Compressible
from security.api.operation import Answer, Anyone, operation

HERE: Final = Path(__file__).parent
SELF: Final = "'self'"
FOREVER: Final = "public, max-age=31536000, immutable"
ASKED_AGAIN: Final = "public, no-cache"
"""For what is asked for without its digest: a script that another one imports, or an old page. Mostly the answer is 304."""


class PageBlueprint(Blueprint):
    """The pages of one module, with the `templates` and `static` beside it and those that all pages share.

    `asset('page.css')` in a template is the address of a file of either `static`; all are served under `assets`. It has the
    file's digest, so that browsers and a CDN keep it for good.
    """

    def __init__(self, name: str, import_name: str, *, url_prefix: str | None = None, assets: str = "/assets") -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self._assets = assets
        self._files = {file.name: file for folder in self._folders("static") for file in folder.iterdir()}
        names = ", ".join(f'"{name}"' for name in sorted(self._files))

        @operation(
            self,
            "GET",
            f"{assets}/<any({names}):name>",
            operation_id="asset",
            summary="Get a file of a page",
            guard=Anyone("pages are shown before anybody signs in"),
            answers={200: StaticFile("text/*")},
        )
        def asset(name: str) -> Answer:
            found = _asset(self._files[name])
            lifetime = FOREVER if request.args.get("v") == found.version else ASKED_AGAIN
            return Answer(200, found, {"Cache-Control": lifetime})

        @self.context_processor
        def addresses() -> dict[str, Any]:
            return {"asset": self.asset_address}

    def asset_address(self, name: str) -> str:
        return f"{self.url_prefix or ''}{self._assets}/{quote(name)}?v={_asset(self._files[name]).version}"

    @cached_property
    def jinja_loader(self) -> BaseLoader:
        return FileSystemLoader(self._folders("templates"))

    def _folders(self, name: str) -> list[Path]:
        """A page may need nothing beyond what is shared."""
        return [folder for folder in dict.fromkeys((Path(self.root_path) / name, HERE / name)) if folder.is_dir()]


@cache
def _asset(file: Path) -> Compressible:
    return Compressible(file.read_bytes(), guess_type(file.name)[0] or "text/plain")


def page_policy(*, scripts: bool = False, styles: Sequence[str] = (), sockets: Sequence[str] = ()) -> str:
    """For `Page`. `scripts`: the page has scripts of ours, which may call the API. `styles`: hashes of inline styles. `sockets`: the
    origins of ours where those scripts open sockets.
    """
    run, call = ("script-src 'self'; ", f"; connect-src {' '.join((SELF, *sockets))}") if scripts else ("", "")
    return f"{run}style-src {' '.join((SELF, *styles))}; img-src data:{call}"
