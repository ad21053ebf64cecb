"""`python setup.py` makes a clone ready for development. With arguments, and for pip, it is setuptools' own."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent


def make_ready() -> int:
    """The exit code. A `.env` that is there stays as it is."""
    env = ROOT / ".env"
    if not env.exists():
        env.touch(mode=0o600)  # secrets are added to it
        env.write_bytes((ROOT / ".env.example").read_bytes())
        print("Wrote .env, a copy of .env.example")
    make = shutil.which("make")
    if make is None:
        print("Install make first. On Debian and Ubuntu: sudo apt-get install make", file=sys.stderr)
        return 1
    return subprocess.run([make, f"PYTHON={sys.executable}", "setup", "migrate"], cwd=ROOT, check=False).returncode


if __name__ == "__main__" and len(sys.argv) == 1:
    sys.exit(make_ready())

from setuptools import find_packages, setup  # noqa: E402 - a new clone may have no setuptools

setup(
    packages=find_packages(exclude=["bench*", "sandbox*", "tests*"]),
    py_modules=[module.stem for module in ROOT.glob("*.py") if module.stem != "setup"],
)
