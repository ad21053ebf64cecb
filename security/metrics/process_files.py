"""The folder in which the processes of one web server leave their counts, so that any of them can answer for all.

Processes come and go, their counts stay: those of the dead are added up in one pair of files, or the folder would grow with
every reload. gunicorn's master does that, which is why nothing heavy is imported at the top.
"""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ENDED = "ended"
LOCK = "lock"


def make_folder(parent: str | None) -> None:
    """A new one for this server, in `parent` or where temporary files go. prometheus_client of its processes will use it."""
    folder = mkdtemp(prefix="mirroros-metrics-", dir=parent)
    Path(folder, LOCK).touch()
    os.environ[VARIABLE] = folder


def remove_folder() -> None:
    if (folder := os.environ.pop(VARIABLE, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def complete_counts(folder: str) -> Iterator[None]:
    """Meanwhile no counts move from one file to another, where they would be read twice or not at all."""
    with Path(folder, LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def process_ended(pid: int, living: Collection[int]) -> None:
    """Its gauges are over, and its counts are added to those of the other processes that have ended.

    `living`: those that still count. When somebody is reading just now, the next end of a process does the rest: the master
    must never wait for one of its processes.
    """
    folder = os.environ.get(VARIABLE)
    if folder is None:
        return
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
    with Path(folder, LOCK).open() as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for file in Path(folder).glob("*.db"):
            kind, _, owner = file.stem.rpartition("_")
            if owner != ENDED and int(owner) not in living:
                _add(file, Path(folder, f"{kind}_{ENDED}.db"))
                file.unlink()


def _add(file: Path, total: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    sums = MmapedDict(str(total))  # type: ignore[no-untyped-call]
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
        sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]
