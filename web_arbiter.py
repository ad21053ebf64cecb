"""gunicorn's main process, which accepts no connection that nobody serves: at its start, and when workers are replaced."""

import time

from gunicorn.arbiter import Arbiter
from gunicorn.sock import BaseSocket


def refuse_until_a_worker_serves() -> None:
    """gunicorn listens before its workers have loaded the application, so a proxy would send them requests that wait, or that are
    lost when it does not load. Whoever is refused asks another server. The first worker that serves listens instead.
    """
    BaseSocket._is_listening = staticmethod(lambda _: True)  # what gunicorn asks before it listens


class PatientArbiter(Arbiter):  # type: ignore[misc]
    """gunicorn tells the old workers to stop as soon as it has forked the new ones. While those load the application, which
    takes seconds, nobody would accept a connection: all requests would wait.
    """

    def manage_workers(self) -> None:
        until = time.monotonic() + self.cfg.timeout
        while len(self.WORKERS) > self.num_workers and not self._newest_serve() and time.monotonic() < until:
            time.sleep(0.05)
            self.reap_workers()  # it ends the server when a new worker cannot load the application
        super().manage_workers()

    def _newest_serve(self) -> bool:
        newest = sorted(self.WORKERS.values(), key=lambda worker: worker.age)[-self.num_workers :]
        # Its file has the wall clock's time until its main loop runs, and then the monotonic clock's.
        return all(worker.tmp.last_update() <= time.monotonic() for worker in newest)
