"""What a process pays for the terminal: nothing while it is off, and nothing of SSH before somebody connects"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.environment import production_environment

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys, threading
from app import assemble
from config import load_settings
assemble(load_settings())
print(*sorted(name for name in sys.modules if name.startswith(("asyncssh", "capabilities.terminal"))))
print(threading.active_count())
"""


def loaded(capabilities: str) -> tuple[set[str], int]:
    """The modules of SSH and of the terminal in a process that was just assembled, and its threads."""
    environ = production_environment("postgresql://app@127.0.0.1:1/app", "https://predict.example.com")
    environ["CAPABILITIES"] = capabilities
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    modules, threads = done.stdout.splitlines()
    return set(modules.split()), int(threads)


@pytest.mark.slow
def test_off_it_is_a_declaration() -> None:
    package = "capabilities.terminal"
    modules, threads = loaded("predict")
    assert modules == {package, f"{package}.plan_limits", f"{package}.settings"}
    assert threads == 1


@pytest.mark.slow
def test_on_it_loads_no_ssh_and_starts_no_thread() -> None:
    modules, threads = loaded("predict,terminal")
    assert "capabilities.terminal.ssh.profiles.routes" in modules
    assert not [name for name in modules if name.startswith("asyncssh")]
    assert threads == 1
