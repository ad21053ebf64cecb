"""Products to look around with in the shop: made once, so that those which somebody changes stay as they are."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.services import ROOT


def demo_products(folder: Path, environ: Mapping[str, str]) -> None:
    """For the database in `folder`. Raises CannotStart."""
    made_before = folder / "demo-products"
    if made_before.exists():
        return
    made = subprocess.run(
        [sys.executable, "-m", "flask", "shop", "demo"],
        env=dict(environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CannotStart(f"The products of the shop could not be created: {made.stderr.strip()}")
    made_before.touch()
