"""Measure what calls cost on this machine. Runs every part (about six minutes), or the one that you name."""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import FrameType

from bench.compare import compare
from bench.in_flight import in_flight
from bench.login_storm import login_storm
from bench.processors import Processors, share_processors
from bench.profile_worker import profile
from bench.round_trips import round_trips
from bench.services import Services, services
from bench.webhooks import webhooks
from bench.worker import worker

LONGEST_SECONDS = 420
Part = Callable[[Services, Processors], bool]
PARTS: dict[str, Part] = {
    "compare": compare,
    "in-flight": in_flight,
    "login-storm": login_storm,
    "webhooks": webhooks,
    "worker": worker,
    "round-trips": round_trips,
    "profile": profile,
}


def main() -> int:
    """0 when everything ran and no prediction or event failed. The figures themselves never decide."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("part", nargs="?", choices=[*PARTS, "all"], default="all")
    wanted = arguments.parse_args()
    signal.signal(signal.SIGTERM, give_up)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_SECONDS)
    processors = share_processors()
    processors.keep_to_others()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors: {processors}")
    print(", ".join(f"{name} {version(name)}" for name in ("gunicorn", "flask", "redis", "psycopg2-binary", "pyjwt")))
    succeeded = True
    with services() as running:
        for name, part in PARTS.items():
            if wanted.part in (name, "all"):
                print(f"\n== {name}", flush=True)
                succeeded &= part(running, processors)
    return 0 if succeeded else 1


def give_up(number: int, _frame: FrameType | None) -> None:
    """Unwinds, so that everything that was started is stopped."""
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
