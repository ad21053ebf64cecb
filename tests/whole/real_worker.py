"""`flask worker run` in a process of its own, and waiting until it has nothing left to do."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg2

from sandbox.child_process import ChildProcess
from tests.canary import canary
from tests.whole.web_server import ROOT

IDLE_SECONDS = 60
WAITING = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"


class RealWorker:
    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.log_file = folder / "worker.log"
        canary.watch(self.log_file)
        self._database_url = environ["DATABASE_URL"]
        command = [sys.executable, "-m", "flask", "worker", "run"]
        self._program = ChildProcess("worker", command, {"PATH": os.environ["PATH"], **environ}, ROOT, self.log_file)

    def start(self) -> None:
        self._program.start()

    def stop(self) -> None:
        self._program.stop(20)

    def kill(self) -> None:
        self._program.stop(0)

    def wait_until_idle(self) -> None:
        """Every job that stood in the queue has ended, and what it announces after its commit is announced."""
        deadline = time.monotonic() + IDLE_SECONDS
        connection = psycopg2.connect(self._database_url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while time.monotonic() < deadline and self._program.exit_code is None:
                    cursor.execute(WAITING)
                    if cursor.fetchall() == [(0,)]:
                        return
                    time.sleep(0.05)
        finally:
            connection.close()
        raise AssertionError(f"the worker did not finish:\n{self.log_file.read_text()[-3000:]}")
