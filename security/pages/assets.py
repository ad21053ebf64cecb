"""Scripts and style sheets of our own pages: at an address with their digest, so that browsers and a CDN keep them for good."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from security.edge.problems import NotFound
from security.pages.compressible import Compressible

FOREVER: Final = "public, max-age=31536000, immutable"
AN_HOUR: Final = "public, max-age=3600"


def serve_assets(routes: Blueprint, folders: Sequence[Path], path: str) -> None:
    """Serve the files of `folders` under `path`; in the blueprint's templates `asset(name)` is the address of one."""
    files = {file.name: file for folder in folders for file in folder.iterdir()}

    @routes.get(f"{path}/<name>")
    def asset(name: str) -> Response:
        if name not in files:
            raise NotFound
        found = _asset(files[name])
        response = found.content.answer(request)
        response.headers["Cache-Control"] = FOREVER if request.args.get("v") == found.version else AN_HOUR
        return response

    @routes.context_processor
    def addresses() -> dict[str, Any]:
        prefix = f"{routes.url_prefix or ''}{path}"
        return {"asset": lambda name: f"{prefix}/{quote(name)}?v={_asset(files[name]).version}"}


@dataclass(frozen=True)
class _Asset:
    content: Compressible
    version: str


@cache
def _asset(file: Path) -> _Asset:
    content = file.read_bytes()
    return _Asset(Compressible(content, guess_type(file.name)[0] or "text/plain"), sha256(content).hexdigest()[:16])
