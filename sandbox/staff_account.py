"""The account that a developer signs in to the dashboard with: made once, with a password made here."""

import os
import secrets
from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.flask_commands import FlaskCommands

ADDRESS = "admin@example.com"


def staff_account(folder: Path, flask: FlaskCommands) -> str:
    """How to sign in, for the database in `folder`. Raises CannotStart."""
    kept = folder / "dashboard-password"
    if not kept.exists():
        password = secrets.token_urlsafe(12)
        made = flask("users", "create-admin", ADDRESS, "--password-stdin", typed=f"{password}\n")
        if made.exit_code:
            raise CannotStart(f"The account for the dashboard could not be created: {made.stderr.strip()}")
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(password)
    return f"Sign in as {ADDRESS} with {kept.read_text()}; the first time you set up an authenticator app"
