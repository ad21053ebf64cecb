"""What a process pays for the terminal: nothing while it is off, and nothing of SSH before somebody connects"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.environment import production_environment

ROOT = Path(__file__).parents[3]
PACKAGE = "capabilities.terminal"
PROGRAM = """
import json, os, sys, threading
from app import assemble
from config import load_settings
for on in ("predict", "predict,terminal"):
    assemble(load_settings({**os.environ, "CAPABILITIES": on}))
    names = sorted(name for name in sys.modules if name.startswith(("asyncssh", "capabilities.terminal")))
    print(json.dumps([names, threading.active_count()]))
"""


@pytest.mark.slow
def test_off_it_is_a_declaration_and_on_it_loads_no_ssh_and_starts_no_thread() -> None:
    environ = production_environment("postgresql://app@127.0.0.1:1/app", "https://predict.example.com")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    (off, threads_off), (on, threads_on) = map(json.loads, done.stdout.splitlines())
    assert off == [PACKAGE, f"{PACKAGE}.plan_limits", f"{PACKAGE}.settings"]
    assert f"{PACKAGE}.ssh.profiles.routes" in on
    assert not [name for name in on if name.startswith("asyncssh")]
    assert threads_off == threads_on == 1
