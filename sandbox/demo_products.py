"""Products to look around with in the shop: made once, so that those which somebody changes stay as they are."""

from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.flask_commands import FlaskCommands


def demo_products(folder: Path, flask: FlaskCommands) -> None:
    """For the database in `folder`. Raises CannotStart."""
    made_before = folder / "demo-products"
    if made_before.exists():
        return
    made = flask("shop", "demo")
    if made.exit_code:
        raise CannotStart(f"The products of the shop could not be created: {made.stderr.strip()}")
    made_before.touch()
