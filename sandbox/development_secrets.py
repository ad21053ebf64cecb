"""The secrets of a developer's machine: made once and kept, so that sign-ins survive a restart."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

NAMES = ("SECRET_KEY", "PRIVATE_API_SECRET")


def development_secrets(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """A value for each secret that `environ` does not set, from `development-secrets.json`, which only the owner reads."""
    file = folder / "development-secrets.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept: dict[str, str] = json.loads(file.read_text())
    else:
        kept = {name: secrets.token_urlsafe(48) for name in NAMES}
        with os.fdopen(descriptor, "w") as opened:
            json.dump(kept, opened)
    unset = {name for name in NAMES if not is_set(environ, name)}
    if is_set(environ, "PRIVATE_API_KEYS"):
        unset.discard("PRIVATE_API_SECRET")
    return {name: kept[name] for name in NAMES if name in unset}


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Empty counts as not set, as for the settings; `NAME_FILE` names a mounted secret."""
    return bool(environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())
