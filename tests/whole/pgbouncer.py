"""PgBouncer with the file of `deploy/`, in front of a test's database."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.child_process import ChildProcess
from tests.whole.proxies import started
from tests.whole.web_server import ROOT

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
SERVER_CONNECTIONS = 3


@contextmanager
def pgbouncer(database_url: str, folder: Path) -> Iterator[str]:
    """The URL that leads through it. All its clients share three connections to PostgreSQL."""
    assert PGBOUNCER is not None
    direct = urlsplit(database_url)
    database, users = direct.path.removeprefix("/"), folder / "userlist.txt"

    def program(port: int) -> ChildProcess:
        text = (ROOT / "deploy" / "pgbouncer.ini").read_text(encoding="utf-8")
        for old, new in {
            "\nmirroros = host=127.0.0.1 port=5432 dbname=mirroros ": f"\n{database} = host=127.0.0.1 port={direct.port} ",
            "listen_port = 6432": f"listen_port = {port}\nunix_socket_dir =",
            "/etc/pgbouncer/userlist.txt": str(users),
            "default_pool_size = 20": f"default_pool_size = {SERVER_CONNECTIONS}",
        }.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "pgbouncer.ini").write_text(text, encoding="utf-8")
        users.write_text(f'"{direct.username}" "{direct.password}"\n', encoding="utf-8")
        # It refuses to run as root, and reads its files before it becomes another user.
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [PGBOUNCER, *as_user, str(folder / "pgbouncer.ini")]
        return ChildProcess("pgbouncer", command, {}, folder, folder / "pgbouncer.log")

    with started(program) as (port, _):
        yield f"postgresql://{direct.username}:{direct.password}@127.0.0.1:{port}/{database}"
