"""What `make setup` shows while pip installs: with a real pip, and packages that come from a folder."""

import hashlib
import os
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

from sandbox.install_requirements import Installation
from sandbox.services import ROOT


def wheel(folder: Path, name: str) -> str:
    """Makes a package with nothing in it. Returns its line of a locked requirements file."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": "",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{name}-1.0.dist-info/RECORD"] = "".join(f"{path},,\n" for path in files)
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


@pytest.mark.slow
def test_a_set_up_shows_no_warning_and_a_failed_one_says_why(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(wheel(tmp_path, "first") + wheel(tmp_path, "second") + wheel(tmp_path, "odd"))
    command = [str(tmp_path / "venv" / "bin" / "python"), "-m", "sandbox.install_requirements", str(requirements)]
    environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}

    def set_up() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120)

    done = set_up()
    assert (done.returncode, done.stderr) == (0, "")
    assert "packages: " in done.stdout
    assert "WARNING" not in done.stdout

    requirements.write_text(requirements.read_text().replace("sha256:", f"sha256:{'0' * 64} #"))
    (tmp_path / "venv" / "lib").rename(tmp_path / "gone")
    venv.create(tmp_path / "venv", with_pip=True)
    refused = set_up()
    assert refused.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert f"{requirements} could not be installed" in refused.stderr


def test_what_pip_says_becomes_how_far_it_is() -> None:
    installation = Installation(locked=3)
    assert str(installation).startswith("Downloading packages: 0 of 3")
    installation.hear(
        iter(["Collecting flask==3.1.2 (from -r requirements-dev.txt (line 1))\n", "  Downloading flask.whl\n"])
    )
    installation.hear(iter(["Ignoring colorama: markers do not match your environment\n"]))
    assert str(installation) == "Downloading packages: 2 of 3 colorama"
    installation.hear(iter(["WARNING: Retrying (Retry(total=4)) after connection broken\n"]))
    assert "the package index did not respond" in str(installation)
    installation.hear(iter(["Installing collected packages: flask, jinja2\n"]))
    assert str(installation) == "Installing packages: 0 of 2"
