"""`make setup`: pip with locked requirements, shown as one line that says how far it is.

Runs before anything is installed, so it needs nothing but Python. What pip says is shown when it fails.
"""

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

LOCKED = re.compile(r"^[A-Za-z0-9][^=\s]*==", re.MULTILINE)
LOOKED_AT = re.compile(r"^(?:Collecting|Requirement already satisfied:|Ignoring) ([A-Za-z0-9._-]+)")
INSTALLING = re.compile(r"^Installing collected packages: (.+)$")
RETRYING = "WARNING: Retrying"
LINES_OF_A_FAILURE = 30
QUIET_PIP = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONUNBUFFERED": "1",
}


class Installation:
    """How far pip is, by what it has said so far."""

    def __init__(self, locked: int) -> None:
        self.said: list[str] = []
        self._locked, self._looked_at, self._name = locked, 0, ""
        self._to_install, self._installed_before = 0, installed()

    def hear(self, output: Iterable[str]) -> None:
        for line in output:
            self.said.append(line)
            if found := LOOKED_AT.match(line):
                self._looked_at, self._name = self._looked_at + 1, found[1].partition("==")[0]
            elif found := INSTALLING.match(line):
                self._to_install = len(found[1].split(", "))

    def __str__(self) -> str:
        if self._to_install:
            new = min(installed() - self._installed_before, self._to_install)
            return f"Installing packages: {new} of {self._to_install}"
        if self.said and self.said[-1].startswith(RETRYING):
            return "Downloading packages: the package index did not respond, trying again"
        return f"Downloading packages: {self._looked_at} of {self._locked} {self._name}"


def installed() -> int:
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


def main() -> int:
    requirements = Path(sys.argv[1])
    installation = Installation(len(LOCKED.findall(requirements.read_text(encoding="utf-8"))))
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "-r", str(requirements)]
    pip = subprocess.Popen(
        command,
        env={**os.environ, **QUIET_PIP},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert pip.stdout is not None
    listener = Thread(target=installation.hear, args=(pip.stdout,))
    listener.start()
    try:
        show_while_running(pip, installation)
    except KeyboardInterrupt:  # pip has been told as well
        pip.wait()
        return 130
    listener.join()
    if pip.returncode:
        sys.stderr.write("".join(installation.said[-LINES_OF_A_FAILURE:]))
        sys.stderr.write(f"{requirements} could not be installed. The reason is above.\n")
    return pip.returncode


def show_while_running(pip: "subprocess.Popen[str]", installation: Installation) -> None:
    """A terminal has one line that changes; a log gets a line now and then."""
    terminal = sys.stdout.isatty()
    shown_at = 0.0
    while pip.poll() is None:
        if terminal:
            sys.stdout.write(f"\r\033[K  {str(installation)[:70]}")
        elif time.monotonic() - shown_at > 10:
            shown_at = time.monotonic()
            sys.stdout.write(f"  {installation}\n")
        sys.stdout.flush()
        time.sleep(0.1)
    if terminal:
        sys.stdout.write("\r\033[K")


if __name__ == "__main__":
    sys.exit(main())
