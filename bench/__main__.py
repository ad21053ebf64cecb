"""Measure what calls cost on this machine. Runs every part (about twenty minutes) or the one you name.

`peers`, `workers`, `analytics`, `usage` and `chat-lists` run only by name."""

import argparse
import os
import platform
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from types import FrameType

from bench.analytics import analytics
from bench.chat import chat
from bench.chat_lists import chat_lists
from bench.compare import compare
from bench.in_flight import in_flight
from bench.login_storm import login_storm
from bench.peers.compare_peers import peers
from bench.processors import NOT_PINNED, Processors, share_processors
from bench.profile_worker import profile
from bench.round_trips import round_trips
from bench.services import Services, services
from bench.shop import shop
from bench.sockets import sockets
from bench.solve import solve
from bench.terminal import terminal
from bench.usage import usage
from bench.webhooks import webhooks
from bench.worker import worker
from bench.workers import workers

ROUNDS = 9
LONGEST_SECONDS = 1440
LONGEST_ROUND_SECONDS = 30
OPEN_FILES = 16_384
"""2,000 predictions in flight are 2,000 connections of the load and 4,000 of the worker."""
Part = Callable[[Services, Processors], bool]
ONLY_BY_NAME = ("peers", "workers", "analytics", "usage", "chat-lists")
"""The first and the second say nothing about one call that `compare` does not say. The others
fill up to 4 GB each."""


def parts(rounds: int) -> dict[str, Part]:
    return {
        "compare": partial(compare, rounds=rounds),
        "peers": partial(peers, rounds=rounds),
        "workers": partial(workers, rounds=rounds),
        "in-flight": in_flight,
        "login-storm": login_storm,
        "solve": solve,
        "shop": shop,
        "sockets": sockets,
        "terminal": terminal,
        "chat": chat,
        "webhooks": webhooks,
        "worker": worker,
        "round-trips": round_trips,
        "analytics": analytics,
        "usage": usage,
        "chat-lists": chat_lists,
        "profile": profile,
    }


def main() -> int:
    """0 when everything ran and no prediction or event failed. The figures themselves never decide."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("part", nargs="?", choices=[*parts(ROUNDS), "all"], default="all")
    arguments.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"of `compare`, `peers` and `workers` (default: {ROUNDS})"
    )
    wanted = arguments.parse_args()
    signal.signal(signal.SIGTERM, give_up)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_SECONDS + wanted.rounds * LONGEST_ROUND_SECONDS)
    allow_open_files()
    processors = NOT_PINNED if wanted.part == "workers" else share_processors()
    processors.keep_to_others()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors: {processors}")
    print(", ".join(f"{name} {version(name)}" for name in ("gunicorn", "flask", "redis", "psycopg2-binary", "pyjwt")))
    succeeded = True
    with services() as running:
        for name, part in parts(wanted.rounds).items():
            if wanted.part == name or (wanted.part == "all" and name not in ONLY_BY_NAME):
                print(f"\n== {name}", flush=True)
                succeeded &= part(running, processors)
    return 0 if succeeded else 1


def allow_open_files() -> None:
    """For this process and what it starts, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def give_up(number: int, _frame: FrameType | None) -> None:
    """Unwinds, so that everything that was started is stopped."""
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
