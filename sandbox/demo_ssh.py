"""What the terminal of `make run` connects to: a real sshd on this machine, or a stand-in where none is installed."""

from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.flask_commands import FlaskCommands
from sandbox.open_ssh import OpenSsh, find_sshd
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


def let_in(server: DemoSsh, email: str, flask: FlaskCommands) -> None:
    """The account gets a key and a profile for the server. Raises CannotStart."""
    made = flask("terminal", "demo", email, "--port", str(server.port), "--username", server.user)
    if made.exit_code:
        raise CannotStart(f"The SSH profile of {email} could not be created: {made.stderr.strip()}")
    server.let_in(made.stdout.strip().splitlines()[-1])
