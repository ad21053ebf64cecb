"""A hot standby of an embedded PostgreSQL: it follows the primary by streaming replication and answers questions."""

import shutil
import subprocess
import time
from dataclasses import dataclass, field

from sandbox.postgres import EmbeddedPostgres, PostgresUnavailable
from tests.databases import ask

CATCH_UP_SECONDS = 30.0


@dataclass
class StreamingReplica(EmbeddedPostgres):
    primary: EmbeddedPostgres = field(kw_only=True)

    def _create_cluster(self) -> None:
        """A copy of the running primary. `--write-recovery-conf` makes it follow."""
        shutil.copy2(self.primary._home / "password", self._home / "password")
        command = [str(self._binaries / "pg_basebackup"), "--pgdata", str(self._data), "--dbname", self.primary.url()]
        command += ["--write-recovery-conf", "--checkpoint", "fast", "--no-sync"]
        done = subprocess.run(command, capture_output=True, cwd=self._home, check=False, **self._as_user())
        if done.returncode != 0:
            raise PostgresUnavailable(f"pg_basebackup failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def catch_up(self) -> None:
        """Wait until everything that the primary has committed can be read here."""
        flush = "SET synchronous_commit = on", "SELECT pg_current_xact_id()"
        ((written,),) = ask(self.primary.url(), *flush, "SELECT pg_current_wal_flush_lsn()::text")
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while ask(self.url(), f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn") != [(True,)]:
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.02)
