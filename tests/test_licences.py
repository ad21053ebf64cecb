"""What the production image installs has licences that were agreed to."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = (sys.executable, "-m", "piplicenses", "--packages")


def test_every_licence_is_one_that_was_agreed_to() -> None:
    """As `make licences`, which lists them. pyproject.toml says which are agreed to."""
    locked = re.findall(r"^([A-Za-z0-9._-]+).*==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    listed = subprocess.run([*LIST, *locked], cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert {"Flask", "psycopg", "stripe"} <= set(listed.stdout.split())


def test_another_licence_is_refused() -> None:
    refused = subprocess.run(
        [*LIST, "flask", "--allow-only", "GPL-3.0-only"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "BSD-3-Clause" in refused.stderr
