"""What the terminal of `make run` connects to: a real sshd on this machine, or a stand-in where none is installed."""

from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.flask_commands import FlaskCommands
from sandbox.open_ssh import OpenSsh, find_sshd
from sandbox.ports import is_free
from sandbox.ssh_programs import LineShell
from sandbox.ssh_server import SshServer

DemoSsh = OpenSsh | SshServer


def start_demo_ssh(folder: Path, log_file: Path) -> DemoSsh:
    """sshd goes on with the key and, if it can, on the port of the last time: the user accepted that key there. Raises CannotStart."""
    if find_sshd() is None:
        stand_in = SshServer()
        stand_in.program = LineShell()
        stand_in.start()
        return stand_in
    sshd = OpenSsh(folder, log_file)
    last = _last_port(folder)
    if last is not None and is_free(last):
        sshd.port = last
    sshd.start()
    return sshd


def let_in(server: DemoSsh, folder: Path, email: str, flask: FlaskCommands) -> None:
    """The account gets a key and a profile for the server, unless it has them from the last time. Raises CannotStart."""
    if isinstance(server, OpenSsh) and server.port == _last_port(folder):
        return
    made = flask("terminal", "demo", email, "--port", str(server.port), "--username", server.user)
    if made.exit_code:
        raise CannotStart(f"The SSH profile of {email} could not be created: {made.stderr.strip()}")
    server.let_in(made.stdout.strip().splitlines()[-1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "port").write_text(str(server.port))


def _last_port(folder: Path) -> int | None:
    kept = folder / "port"
    return int(kept.read_text()) if kept.exists() else None
