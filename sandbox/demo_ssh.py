"""What the terminal of `make run` connects to: a real sshd on this machine, or a stand-in where none is installed."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.open_ssh import OpenSsh, find_sshd
from sandbox.services import ROOT
from sandbox.ssh_programs import LineShell
from sandbox.ssh_server import SshServer

DemoSsh = OpenSsh | SshServer


def start_demo_ssh(folder: Path, log_file: Path) -> DemoSsh:
    """On a free port. Nobody is let in yet. Raises CannotStart."""
    if find_sshd() is not None:
        sshd = OpenSsh(folder, log_file)
        sshd.start()
        return sshd
    stand_in = SshServer()
    stand_in.program = LineShell()
    stand_in.start()
    return stand_in


def let_in(server: DemoSsh, email: str, environ: Mapping[str, str]) -> None:
    """The account gets a key and a profile for the server. Raises CannotStart."""
    command = [sys.executable, "-m", "flask", "terminal", "demo", email]
    command += ["--port", str(server.port), "--username", server.user]
    made = subprocess.run(command, env=dict(environ), cwd=ROOT, capture_output=True, text=True, check=False)
    if made.returncode:
        raise CannotStart(f"The SSH profile of {email} could not be created: {made.stderr.strip()}")
    server.let_in(made.stdout.strip().splitlines()[-1])
