"""The tests of everything. They need more packages than the product, and say so before pytest trips over one."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

WANTED = Path(__file__).parents[1] / "requirements-dev.in"


def is_missing(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return False
    try:
        version(requirement.name)
    except PackageNotFoundError:
        return True
    return False


lines = [line for line in WANTED.read_text(encoding="utf-8").splitlines() if line[:1].isalpha()]
if any(is_missing(Requirement(line)) for line in lines):
    raise SystemExit("The tests need more packages than requirements.txt holds: pip install -r requirements-dev.txt")
