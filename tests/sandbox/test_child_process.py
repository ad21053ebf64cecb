"""Programs that are started and stopped."""

import sys
import time
from pathlib import Path

import psutil

from sandbox.child_process import ChildProcess

POLITE = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
WITH_CHILD = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('up', child.pid, flush=True); time.sleep(60)"
)


def test_what_it_says_is_read_from_its_last_start_on(tmp_path: Path) -> None:
    child = ChildProcess("it", [sys.executable, "-c", "print('on port 1')"], {}, tmp_path, tmp_path / "it.log")
    child.log_file.write_text("on port 9\n")
    child.start()
    assert child.says(r"^on port (\d)$", 20) == "1"
    assert child.says("(never)", 20) is None
    assert child.exit_code == 0


def start(program: str, folder: Path) -> ChildProcess:
    child = ChildProcess("it", [sys.executable, "-c", program], {}, folder, folder / "it.log")
    child.start()
    deadline = time.monotonic() + 20
    while "up" not in child.log_file.read_text():
        assert child.exit_code is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child


def test_a_program_may_end_by_itself_when_it_is_asked(tmp_path: Path) -> None:
    child = start(POLITE, tmp_path)
    child.stop(seconds=20)
    assert child.exit_code == 0


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    child = start(STUBBORN, tmp_path)
    child.stop(seconds=0.1)
    assert child.exit_code == -9


def test_haste_does_not_wait_for_the_deadline(tmp_path: Path) -> None:
    child = start(STUBBORN, tmp_path)
    started = time.monotonic()
    child.stop(seconds=60, in_a_hurry=lambda: True)
    assert time.monotonic() - started < 30
    assert child.exit_code == -9


def test_what_the_program_started_ends_with_it(tmp_path: Path) -> None:
    child = start(WITH_CHILD, tmp_path)
    grandchild = psutil.Process(int(child.log_file.read_text().split()[1]))
    child.stop(seconds=5)
    psutil.wait_procs([grandchild], timeout=20)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE
