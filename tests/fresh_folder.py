"""A newcomer's machine: a copy of what git tracks, an environment with chosen packages alone, and few programs."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# No redis-server, no valkey-server and no docker-compose, whatever this machine has.
PROGRAMS = ("bash", "sh", "env", "git", "make", "curl", "cp", "sed", "cat", "rm", "mktemp")


@dataclass(frozen=True)
class FreshFolder:
    folder: Path
    environ: Mapping[str, str]

    def run(self, script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """A script in bash, as pasted into a terminal, until its end."""
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env={**self.environ, **variables},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def start(self, script: str, **variables: str) -> "subprocess.Popen[str]":
        """A script whose last command goes on. Its output and its errors are one stream."""
        return subprocess.Popen(
            ["bash", "-euc", script],
            cwd=self.folder,
            env={**self.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - it only sets a signal
        )


def hear_ctrl_c() -> None:
    """A shell that runs the tests in the background makes them ignore it, and whatever they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def fresh_folder(packages: Iterable[str], *, without: Collection[str] = ()) -> Iterator[FreshFolder]:
    """`packages` are installed with all that they need, but for those `without`, as if they could not be."""
    with TemporaryDirectory(prefix="mirroros-fresh-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # an embedded PostgreSQL may have to run as another user
        copy_tracked_files(folder)
        make_environment(folder / ".venv", closure(packages) - set(without))
        (folder / ".venv" / ".requirements-installed").touch()
        programs = folder / ".venv" / "programs"
        programs.mkdir()
        for program in PROGRAMS:
            if found := shutil.which(program):
                (programs / program).symlink_to(found)
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "POSTGRES_BIN") if name in os.environ}
        yield FreshFolder(folder, {**kept, "PATH": f"{folder / '.venv' / 'bin'}:{programs}", "BCRYPT_COST": "4"})


def copy_tracked_files(folder: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("what belongs to a fresh copy is asked of git, and this is no clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():  # a deleted file stays in the index until the next commit
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def requirements(file: str) -> list[str]:
    """The names that a locked file lists."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line and line[0].isalnum() and applies(line)]


def applies(line: str) -> bool:
    marker = Requirement(line.rstrip(" \\")).marker
    return marker is None or marker.evaluate()


def closure(packages: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [Requirement(package) for package in packages]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or ():
            needed = Requirement(text)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def make_environment(folder: Path, packages: Iterable[str]) -> None:
    """A virtual environment that borrows these packages from the one that runs the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    here = Path(sysconfig.get_path("purelib"))
    there = folder / here.relative_to(sys.prefix)
    for package in packages:
        installed = distribution(package)
        for entry in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            if not (there / entry).exists():
                (there / entry).symlink_to(here / entry)
        for command in installed.entry_points.select(group="console_scripts"):
            script = folder / "bin" / command.name
            start = f"from {command.module} import {command.attr}\nimport sys\nsys.exit({command.attr}())\n"
            script.write_text(f"#!{folder / 'bin' / 'python'}\n{start}", encoding="utf-8")
            script.chmod(0o755)
