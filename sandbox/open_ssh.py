"""A real sshd on a loopback port. It lets in whoever runs it, with one of the keys that were handed to it."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from sandbox.cannot_start import CannotStart
from sandbox.ports import start_on_a_port
from sandbox.postgres import stop_with_parent

START_TIMEOUT_SECONDS = 10.0
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""sshd wants this folder when root starts it. Debian's service makes it at its own start."""


class SshdUnavailable(CannotStart):
    """No sshd was found, or it did not start."""


def find_sshd() -> Path | None:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return None if found is None else Path(found)


@dataclass
class OpenSsh:
    """`authorized_keys` has the key lines of those who may sign in as `user`, who runs this process."""

    folder: Path
    log_file: Path | None = None
    """By default one in `folder`."""
    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    user: str = field(default_factory=getpass.getuser, init=False)

    def start(self) -> None:
        """Start on a free port, or again on the port of the last start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._host_key.exists():
            self.change_key()
        self.authorized_keys.touch(mode=0o600)
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        start_on_a_port(self._start_on, self._log, again_on=self.port, within_seconds=START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def change_key(self) -> None:
        """For the next start."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._host_key.write_bytes(key.export_private_key("openssh"))
        self._host_key.chmod(0o600)

    def let_in(self, line: str) -> None:
        if line not in self.authorized_keys.read_text().splitlines():
            with self.authorized_keys.open("a") as keys:
                keys.write(f"{line}\n")

    @property
    def fingerprint(self) -> str:
        return asyncssh.read_private_key(self._host_key).get_fingerprint()

    @property
    def authorized_keys(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def _host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def _log(self) -> Path:
        return self.log_file or self.folder / "sshd.log"

    def _start_on(self, port: int) -> None:
        sshd = find_sshd()
        if sshd is None:
            raise SshdUnavailable("sshd was not found. On Debian and Ubuntu: sudo apt-get install openssh-server")
        settings = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self._host_key,
            "AuthorizedKeysFile": self.authorized_keys,
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "LogLevel": "ERROR",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(sshd), "-D", "-e", "-f", str(config)], stdout=log, stderr=log, preexec_fn=stop_with_parent
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
                if probe.recv(8) == b"SSH-2.0-":
                    self.port = port
                    return
            time.sleep(0.02)
        self.stop()
        raise SshdUnavailable(f"sshd did not start; see {self._log}")
