"""What a terminal over a socket costs beside an SSH client without anything around it: the echo of a key, and much output, both
from one sshd. And what an idle socket costs, and the terminal alone to predictions.
"""

import json
import secrets
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import asyncssh
import psutil

from auth.tiers import Tier
from bench.callers import HOST, prediction_requests
from bench.compare import HEADINGS, Contender, Figures, medians, nothing_failed, one_round, row, spread, work
from bench.in_flight import MEBIBYTE
from bench.load import ask_once, percentile
from bench.plain_ssh import plain_client
from bench.processors import Processors
from bench.services import FOLDER, Services, private_server
from bench.socket_crowd import socket_crowd
from bench.sockets import KIBIBYTE, live, realtime_command
from bench.targets import Addresses, gateway_target
from bench.terminal_programs import ECHO, POUR
from bench.terminal_socket import TerminalSocket
from bench.web_server import WebServer, web_server
from sandbox.open_ssh import OpenSsh

PATH = "/ws/terminal"
SSH = "/api/terminal/ssh"
PLAIN, SOCKET = "plain", "socket"
ON, OFF = "on", "off"
ANSWER_SECONDS = 20.0
WARM_UP_SOCKETS = 10
"""What the first ones load, the others find."""


@dataclass(frozen=True)
class Sizes:
    """`pause`: seconds between two keys. `size`: bytes of one output."""

    callers: int = 400
    sockets: int = 2000
    rounds: int = 6
    keys: int = 300
    pause: float = 0.005
    size: int = 64 * MEBIBYTE


@dataclass(frozen=True)
class Shells:
    """What one contender did in one round. `grown`: bytes of memory that the realtime process needed more at most."""

    took_ms: Sequence[float]
    bytes_per_second: float
    grown: int = 0


USUAL = Sizes()


def terminal(services: Services, processors: Processors, sizes: Sizes = USUAL) -> bool:
    """Print the figures. False when a prediction failed."""
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        database_url = services.postgres.ensure_database("terminal")
        target = gateway_target(Addresses(database_url, services.redis_url(11), private_url, secret))
        tokens = target.tokens(sizes.callers, Tier.ENTERPRISE)
        environment = {
            **target.environment,
            "REALTIME_MAX_PER_ADDRESS": str(sizes.sockets),
            "TERMINAL_ALLOWED_NETWORKS": "127.0.0.1/32",
        }

        def started(name: str, command: Any, capabilities: str) -> WebServer:
            one = {**environment, "CAPABILITIES": capabilities}
            return stack.enter_context(
                web_server(f"terminal-{name}", command, one, first_request=live(), processors=processors)
            )

        off, on = started(OFF, target.command, "predict"), started(ON, target.command, "predict,terminal")
        realtime = started("realtime", realtime_command, "predict,terminal")
        open_idle(realtime, tokens, sizes)
        compare_shells(on, realtime, tokens[0], processors, sizes)
        return compare_predictions(services, on, off, tokens, sizes)


def open_idle(realtime: WebServer, tokens: Sequence[str], sizes: Sizes) -> None:
    memory = psutil.Process(realtime.worker_pid).memory_info
    with socket_crowd() as crowd:
        crowd.open(realtime.port, tokens[:WARM_UP_SOCKETS], PATH)
        crowd.close()
        empty = memory().rss
        opened = crowd.open(realtime.port, list(islice(cycle(tokens), sizes.sockets)), PATH)
        each = (memory().rss - empty) / opened.sockets / KIBIBYTE
        crowd.close()
    print(f"memory of one of {opened.sockets} idle sockets: {each:.1f} KiB   (to reach: at most 48)", flush=True)


def compare_shells(web: WebServer, realtime: WebServer, token: str, processors: Processors, sizes: Sizes) -> None:
    """In turn. Each has one shell that writes back keys and one that writes much, for all rounds."""
    process = psutil.Process(realtime.worker_pid)
    measured: dict[str, list[Shells]] = {PLAIN: [], SOCKET: []}
    with ExitStack() as stack:
        enter = stack.enter_context
        sshd = OpenSsh(FOLDER / "sshd")
        sshd.start()
        stack.callback(sshd.stop)
        own = asyncssh.generate_private_key("ssh-ed25519")
        sshd.let_in(own.export_public_key().decode())
        profile_id = profile_on(web, token, sshd)
        plain = enter(plain_client(sshd, own.export_private_key().decode(), {"echo": ECHO, "pour": POUR}, processors))
        echo, pour = (enter(closing(TerminalSocket(realtime.port, token, profile_id, each))) for each in (ECHO, POUR))
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, process.memory_info().rss)

        print(f"{sizes.keys} keys, and {sizes.size / MEBIBYTE:.0f} MiB of output")
        print("round  client    p50 ms    p99 ms     MiB/s   grown MiB")
        for number in range(1, sizes.rounds + 1):
            for name in measured if number % 2 else reversed(measured):
                if name == PLAIN:
                    found = Shells(plain.echo(sizes.keys, sizes.pause), sizes.size / plain.pour(sizes.size))
                else:
                    took = echo.echo(sizes.keys, sizes.pause)
                    before = most = process.memory_info().rss
                    seconds = pour.pour(sizes.size, look)
                    look()
                    found = Shells(took, sizes.size / seconds, most - before)
                measured[name].append(found)
                ordered = sorted(found.took_ms)
                grown = f"{found.grown / MEBIBYTE:.1f}" if name == SOCKET else ""
                print(
                    f"{number:>5}  {name:<7}{percentile(ordered, 50):>9.3f}{percentile(ordered, 99):>10.3f}"
                    f"{found.bytes_per_second / MEBIBYTE:>10.1f}{grown:>12}",
                    flush=True,
                )
    print(f"echo of a key, p50, socket / plain: {spread(ratios(measured, 50))}   (to reach: at most 2.5)")
    together = {name: sorted(each for one in rounds for each in one.took_ms) for name, rounds in measured.items()}
    p99 = percentile(together[SOCKET], 99) / percentile(together[PLAIN], 99)
    rounds = spread(ratios(measured, 99))
    print(f"echo of a key, p99 of all rounds, socket / plain: {p99:.2f}; {rounds}   (to reach: at most 4)")
    pairs = zip(measured[SOCKET], measured[PLAIN], strict=True)
    speeds = [ours.bytes_per_second / theirs.bytes_per_second for ours, theirs in pairs]
    print(f"bytes a second, socket / plain: {spread(speeds)}   (to reach: at least 0.35)")
    most_grown = max(each.grown for each in measured[SOCKET]) / MEBIBYTE
    print(
        f"memory during {sizes.size / MEBIBYTE:.0f} MiB of output: {most_grown:.1f} MiB more   (to reach: at most 8)",
        flush=True,
    )


def ratios(measured: dict[str, list[Shells]], percent: float) -> list[float]:
    pairs = zip(measured[SOCKET], measured[PLAIN], strict=True)
    return [
        percentile(sorted(ours.took_ms), percent) / percentile(sorted(theirs.took_ms), percent)
        for ours, theirs in pairs
    ]


def compare_predictions(services: Services, on: WebServer, off: WebServer, tokens: Sequence[str], sizes: Sizes) -> bool:
    """On two servers: one has the terminal, the other has not."""
    requests = prediction_requests(tokens)
    contenders = [Contender(OFF, off, requests), Contender(ON, on, requests)]
    measured: dict[str, list[Figures]] = {each.name: [] for each in contenders}
    print("predictions where the terminal is off and where it is on")
    print(HEADINGS)
    for number in range(1, sizes.rounds + 1):
        for contender in contenders if number % 2 else reversed(contenders):
            measured[contender.name].append(one_round(services, contender))
            print(row(str(number), contender.name, measured[contender.name][-1]), flush=True)
    for name, rounds in measured.items():
        print(row("all", name, medians(rounds)))
    print(f"worker processor time of a prediction, on / off: {work(measured, ON, OFF)}   (to reach: at most 1.02)")
    return nothing_failed(measured)


def profile_on(web: WebServer, token: str, sshd: OpenSsh) -> str:
    """Its id. The server lets its key in."""
    key = created(web, token, f"{SSH}/keys", {"name": "bench", "generate": "ed25519"})
    sshd.let_in(key["public_key"])
    fields = {"name": "bench", "host": "127.0.0.1", "port": sshd.port, "username": sshd.user}
    profile = created(web, token, f"{SSH}/profiles", {**fields, "auth": "key", "ssh_key_id": key["id"]})
    return str(profile["id"])


def created(web: WebServer, token: str, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(fields).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    status, answer = ask_once(web.port, "\r\n".join((*lines, "", "")).encode() + body, timeout=ANSWER_SECONDS)
    if status != 201:
        raise RuntimeError(f"{path}: {status} {answer[:300].decode(errors='replace')}")
    made: dict[str, Any] = json.loads(answer)
    return made
