"""The secrets of a developer's machine: made once and kept, so that sign-ins survive a restart."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NAMES = ("SECRET_KEY", "PRIVATE_API_SECRET")


def development_secrets(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """A value for each secret that `environ` does not set, from `development-secrets.json`, which only the owner reads."""
    unset = [name for name in NAMES if not is_set(environ, name)]
    if "PRIVATE_API_SECRET" in unset and is_set(environ, "PRIVATE_API_KEYS"):
        unset.remove("PRIVATE_API_SECRET")
    kept = kept_secrets(folder) if unset else {}  # a container's folder may not be writable, and needs not be
    return {name: kept[name] for name in unset}


def kept_file(folder: Path) -> Path:
    return folder / "development-secrets.json"


def kept_secrets(folder: Path) -> dict[str, str]:
    file = kept_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"development-secrets.{secrets.token_hex(4)}"
    if not file.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            json.dump({name: secrets.token_urlsafe(48) for name in NAMES}, opened)
        with suppress(FileExistsError):
            os.link(draft, file)  # unlike a renaming, it never replaces what another process has just made
        draft.unlink()
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Empty counts as not set, as for the settings; `NAME_FILE` names a mounted secret."""
    return bool(environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())
