"""What a process pays for help with commands: nothing while it is off, and no thread before somebody asks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.environment import production_environment

ROOT = Path(__file__).parents[3]
PACKAGE = "capabilities.commands"
PROGRAM = """
import json, os, sys, threading
from app import assemble
from config import load_settings
for on in ("predict", "predict,commands"):
    assemble(load_settings({**os.environ, "CAPABILITIES": on}))
    names = sorted(name for name in sys.modules if name.startswith(("providers.openrouter", "capabilities.commands")))
    print(json.dumps([names, threading.active_count()]))
"""


@pytest.mark.slow
def test_off_it_is_a_declaration_and_on_it_starts_no_thread() -> None:
    environ = production_environment("postgresql://app@127.0.0.1:1/app", "https://predict.example.com")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    (off, threads_off), (on, threads_on) = map(json.loads, done.stdout.splitlines())
    assert off == [PACKAGE, f"{PACKAGE}.plan_limits", f"{PACKAGE}.settings"]
    assert "providers.openrouter" in on
    assert threads_off == threads_on == 1
