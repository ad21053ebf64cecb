"""Scripts and style sheets of our own pages: at an address with their digest, so that browsers and a CDN keep them for good."""

from collections.abc import Sequence
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, request

from security.api.answers import StaticFile
from security.api.compressible import Compressible
from security.api.operation import Answer, Anyone, operation

FOREVER: Final = "public, max-age=31536000, immutable"
AN_HOUR: Final = "public, max-age=3600"


def serve_assets(routes: Blueprint, folders: Sequence[Path], path: str) -> None:
    """Serve the files of `folders` under `path`; in the blueprint's templates `asset(name)` is the address of one."""
    files = {file.name: file for folder in folders for file in folder.iterdir()}
    names = ", ".join(f'"{name}"' for name in sorted(files))

    @operation(
        routes,
        "GET",
        f"{path}/<any({names}):name>",
        operation_id="asset",
        summary="Get a file of a page",
        guard=Anyone("pages are shown before anybody signs in"),
        answers={200: StaticFile("text/*")},
    )
    def asset(name: str) -> Answer:
        found = _asset(files[name])
        lifetime = FOREVER if request.args.get("v") == found.version else AN_HOUR
        return Answer(200, found, {"Cache-Control": lifetime})

    @routes.context_processor
    def addresses() -> dict[str, Any]:
        prefix = f"{routes.url_prefix or ''}{path}"
        return {"asset": lambda name: f"{prefix}/{quote(name)}?v={_asset(files[name]).version}"}


@cache
def _asset(file: Path) -> Compressible:
    return Compressible(file.read_bytes(), guess_type(file.name)[0] or "text/plain")
