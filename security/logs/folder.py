"""The folder of `LOG_DIR`: the files in it, and whether this process can write to them."""

import os
from pathlib import Path
from typing import Final

FILES: Final = (APP := "app.log", ACCESS := "access.log", ERROR := "error.log", SECURITY := "security.log")


def unusable(folder: Path) -> str | None:
    """Why the log cannot be written there; None when it can. Creates nothing, for whoever only checks the settings."""
    if not folder.is_dir():
        return "must be a folder that exists"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return "must be a folder that this process can write to"
    for file in (folder / name for name in FILES):
        if file.exists() and not (file.is_file() and os.access(file, os.W_OK, effective_ids=True)):
            return f"contains {file.name}, which this process cannot write to"
    return None
