"""`scripts/` and `setup.py`: they are what they were before there were make targets, and call these."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CALLS = {
    "dev_start.sh": ["-m sandbox.run"],
    "db_migrate.sh": ["-m flask db upgrade"],
    "db_seed.sh": ["-m flask bootstrap-demo"],
    "db_reset.sh": ["-m flask reset-database"],
    "run_tests.sh": ["-m pytest", "--cov --cov-report=html"],
    "format_code.sh": ["/ruff check --quiet --fix .", "/black --quiet .", "/mypy ."],
}
TOY_MAKEFILE = "setup migrate:\n\t@echo $@ $(PYTHON) >> called\n"


def test_there_are_the_scripts_that_the_guide_names() -> None:
    assert CALLS.keys() == {script.name for script in (ROOT / "scripts").iterdir()}
    guide = (ROOT / "docs" / "from-fastapi.md").read_text(encoding="utf-8")
    assert {name for name in CALLS if f"scripts/{name}" in guide} == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_script_can_be_started_anywhere_and_calls_make(name: str, tmp_path: Path) -> None:
    """It hands its arguments on: `--dry-run` has make print what it would do."""
    script = ROOT / "scripts" / name
    done = subprocess.run([script, "--dry-run"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert all(call in done.stdout for call in CALLS[name]), done.stdout
    assert len(script.read_text(encoding="utf-8").splitlines()) == 3


def test_coverage_has_a_gate() -> None:
    assert re.search(r"^\[tool\.coverage\.report\].*\nfail_under = 80$", (ROOT / "pyproject.toml").read_text(), re.M)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """With a Makefile that notes what is called."""
    for name in ("setup.py", ".env.example", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "Makefile").write_text(TOY_MAKEFILE, encoding="utf-8")
    return tmp_path


def run_setup(clone: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"] if path is None else path}
    program = [sys.executable, str(clone / "setup.py"), *arguments]
    return subprocess.run(program, cwd=clone, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_setup_makes_a_clone_ready(clone: Path) -> None:
    assert run_setup(clone).returncode == 0
    assert (clone / ".env").read_bytes() == (ROOT / ".env.example").read_bytes()
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600
    assert (clone / "called").read_text() == f"setup {sys.executable}\nmigrate {sys.executable}\n"


def test_setup_leaves_an_env_file_alone_and_says_what_failed(clone: Path) -> None:
    (clone / ".env").write_text("PORT=9000\n", encoding="utf-8")
    (clone / "Makefile").write_text("setup:\n\t@echo no venv >&2; exit 1\n", encoding="utf-8")
    done = run_setup(clone)
    assert (clone / ".env").read_text(encoding="utf-8") == "PORT=9000\n"
    assert done.returncode != 0
    assert "no venv" in done.stderr
    assert run_setup(clone, path="").stderr.startswith("Install make first.")


@pytest.mark.slow
def test_setup_with_arguments_is_setuptools(clone: Path) -> None:
    done = run_setup(clone, "--name", "--version")
    assert (done.returncode, done.stdout.split()[-2:]) == (0, ["mirroros-public", "0.1.0"]), done.stderr
    assert not (clone / "called").exists()
